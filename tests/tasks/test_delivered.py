"""The search delivers a tuned config where its replays beat the defaults' beyond the error, else the defaults."""

import hashlib
import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hone.evaluation import delivery
from tasks import budget, files, held_out, ingest, retrain, search_bayes, search_hyperband, search_random, split, trials
from tasks.params import parse_params
from tasks.reporting import NullReporter
from tasks.stage import Stage
from tasks.tracking.entry import NullTracker
from tasks.trainables import read_problem

FIXED = {
    "n_layers": 1,
    "units_1": 8,
    "batch_size": 32,
    "embedding": "none",
    "optimizer": "adamw",
    "schedule": "cosine",
    "activation": "relu",
    "weight_decay": 0.01,
}
GOOD_DEFAULT = {"dropout": {"low": 0.0, "high": 0.5, "default": 0.0}, "learning_rate": 0.01}
BAD_DEFAULT = {"dropout": 0.0, "learning_rate": {"low": 1e-5, "high": 0.1, "default": 1e-5}}


def table(n: int = 200) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    x, z = generator.normal(size=(2, n))
    return pd.DataFrame({"x": x, "z": z, "target": 3 * x + z + 0.3 * generator.normal(size=n)})


def searched(root: Path, space: dict[str, Any], **split_by: Any) -> tuple[Stage, dict[str, Any]]:
    """Return a project of which the search has run, and its winner.json."""
    (root / "data" / "raw").mkdir(parents=True)
    table().to_csv(root / "data" / "raw" / "table.csv", index=False)
    content = {
        "data": {"source": "data/raw/table.csv", "target": "target"},
        "split": split_by,
        "train": {"epochs": 6},
        "budget": {"epochs": 60},
        "search": {
            "space": {**FIXED, **space},
            "random": {"epochs": 2, "share": 0.3},
            "bayes": {"epochs": 2, "share": 0.3},
            "hyperband": {"min_epochs": 2, "share": 0.4},
            "replay": {"finalists": 2, "seeds": 3},
        },
        "retrain": {"seeds": 2},
    }
    with ThreadPoolExecutor(1) as pool:
        stage = Stage(
            name="ingest",
            root=root,
            params=parse_params(content),
            fingerprint=hashlib.sha256(str(root).encode()).hexdigest(),
            pipeline="p" * 64,
            executor=pool,
            tracker=NullTracker(),
            reporter=NullReporter(),
        )
        stages = {"ingest": ingest, "split": split, "budget": budget, "search_random": search_random}
        stages |= {"search_bayes": search_bayes, "search_hyperband": search_hyperband, "retrain": retrain}
        for name, module in stages.items():
            module.run(replace(stage, name=name))
    return stage, files.read_json(root / "artifacts" / "search_hyperband" / "winner.json")


def test_a_config_that_is_no_better_than_the_defaults_is_named_and_the_defaults_are_delivered(tmp_path: Path) -> None:
    stage, winner = searched(tmp_path, GOOD_DEFAULT)
    assert winner["delivered"] == "defaults"
    assert {name: winner[name] for name in winner["default"]} == winner["default"]
    candidate = winner["candidate"]
    assert set(candidate) == {*winner["default"], "difference", "error"}
    assert candidate["config"] != winner["config"]
    assert candidate["difference"] == pytest.approx(winner["value"] - candidate["value"])  # of RMSE
    assert candidate["difference"] <= delivery.MARGIN * candidate["error"]
    assert [one["config"] for one in winner["standings"][:1]] == [winner["config"]]
    assert len(winner["standings"]) == 3
    made = files.read_json(stage.path("artifacts/retrain/metrics.json"))
    assert made["model"]["delivered"] == "defaults"
    assert made["model"]["epochs"] == made["defaults"]["epochs"] == winner["epochs"]
    folders = [stage.path("artifacts/retrain", name) for name in ("model", "defaults")]
    first, second = (
        {file.name: file.read_bytes() for file in sorted(folder.glob("*.safetensors"))} for folder in folders
    )
    assert first == second != {}
    models = [json.loads((folder / "model.json").read_text(encoding="utf-8")) for folder in folders]
    assert models[0] == models[1]


def test_a_config_that_is_clearly_better_is_delivered_over_folds_too(tmp_path: Path) -> None:
    stage, winner = searched(tmp_path, BAD_DEFAULT, folds=2)
    assert winner["delivered"] == "tuned"
    assert "candidate" not in winner
    assert winner["difference"] == pytest.approx(winner["default"]["value"] - winner["value"])
    assert winner["difference"] > delivery.MARGIN * winner["error"]
    assert winner["config"] != winner["default"]["config"]
    assert winner["value"] < winner["default"]["value"]
    assert files.read_json(stage.path("artifacts/retrain/metrics.json"))["model"]["delivered"] == "tuned"

    # What the replays predict is of the epoch that the final model has.
    replays = trials.read(stage.path("artifacts/search_hyperband/replay.parquet"))
    problem = read_problem(stage.path("data/split"))
    found = held_out.read(
        stage.path("artifacts/search_hyperband/held_out.safetensors"), replays, stage.path("data/split"), problem, None
    )
    folds = pd.read_parquet(stage.path("data/split/folds.parquet"))["fold"]
    sizes = [int((folds == fold).sum()) for fold in (0, 1)]

    for one in winner["standings"]:
        errors = [prediction - found.truth for prediction in found.of(one["config"])]
        parts = [part for each in errors for part in np.split(each, np.cumsum(sizes)[:-1])]
        assert len(parts) == one["n"] == 6
        assert np.mean([math.sqrt(np.mean(part**2)) for part in parts]) == pytest.approx(one["value"], rel=1e-5)
