"""Each family and each kind of data through all stages: the same bytes with one worker or two, interrupted or not.

The doors themselves, Prefect's and DVC's, are compared in test_doors; both call `run_stage`, and so do these.
"""

import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flows import start_from
from tasks import pipeline, run
from tasks.executors import WorkerPool
from tasks.reporting import NullReporter
from tasks.tracking import NullTracker
from tests.e2e.conftest import Project, read
from tests.e2e.test_pictures_whole import SMALLER, picture

pytestmark = pytest.mark.e2e
N = 90
QUICK: dict[str, Any] = {
    "data.source": "data/raw/table.csv",
    "data.target": "kind",
    "train.epochs": 6,
    "budget.epochs": 60,
    "search.random.batch": 2,
    "search.bayes.batch": 2,
    "search.hyperband.batch": 2,
    "baseline.networks": 1,
    "search.replay.finalists": 1,
    "retrain.seeds": 1,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "realmlp": {},
    "tabm": {"search.space": {"n_members": 4, "units": 32}},
    "ft_transformer": {"search.space": {"token_size": 16, "n_blocks": 1}},
    "auto": {"split.folds": 2, "split.objective": "folds", "budget.epochs": 110},
    "resnet_image": {"search.space": {"width": 8, "batch_size": 16}},
    "cnn": {"search.space": {"width": 8, "batch_size": 16}},
}


class Interrupted(Executor):
    """Passes so many pieces of work on, and then behaves as if someone had pressed Ctrl-C."""

    def __init__(self, pool: Executor, after: int) -> None:
        self.pool, self.left = pool, after

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return self.pool.submit(fn, *args, **kwargs)


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 3))
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    frame["town"] = rng.choice(["A", "B", None], N)
    frame["kind"] = np.where(x[:, 0] + (frame["town"] == "A") + rng.normal(size=N) / 3 > 0.3, "ash", "birch")
    return frame


@pytest.fixture(scope="module")
def pools() -> Iterator[tuple[Executor, Executor]]:
    with WorkerPool(2) as two, WorkerPool(1) as one:
        yield two, one


def stages(project: Project, pool: Executor, *names: str) -> None:
    for name in names:
        run.run_stage(project.root, name, reporter=NullReporter(), tracker=NullTracker(), executor=pool)


def both_ways(project: Project, place: Path, pools: tuple[Executor, Executor]) -> None:
    """Run all stages with two workers, and in a copy with one, interrupted wherever a search goes on for so long."""
    other, names = project.copy(place), list(pipeline.specs(project.root))
    two, one = pools
    interrupted: list[str] = []
    stages(project, two, *names)
    for name in names:
        if name.startswith("search_"):
            try:
                stages(other, Interrupted(one, 3), name)
            except KeyboardInterrupt:  # in the second generation
                assert other.journal(name), "what had been finished is lost"
                interrupted.append(name)
        stages(other, one, name)
    assert len(interrupted) >= 2
    assert other.hashes() == project.hashes()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_gives_the_same_bytes(make_project, tmp_path, pools, family):
    if family in ("cnn", "resnet_image"):
        project = make_project(
            {**QUICK, **SMALLER, "budget.epochs": 60, "model.family": family, **FAMILIES[family]}, name=family
        )
        project.change({"data.target": None})
        with zipfile.ZipFile(project.root / "data/raw/pictures.zip", "w") as archive:
            for number in range(40):
                label = "upper" if number % 2 else "lower"
                archive.writestr(f"all/{label}/{number:02}.{'png' if number % 4 else 'jpg'}", picture(label, number))
    else:
        project = make_project({**QUICK, "model.family": family, **FAMILIES[family]}, table(), name=family)
    both_ways(project, tmp_path / "other", pools)


def test_a_former_model_as_a_start_gives_the_same_bytes(make_project, tmp_path, pools):
    former = make_project({**QUICK, "model.family": "mlp"}, table(), name="former")
    stages(former, pools[0], *pipeline.specs(former.root))
    project = make_project({**QUICK, "model.family": "mlp", "seed": 1}, table(), name="start_from")
    start_from.copy(project.root, str(former.root / "artifacts/retrain/model"), "old")
    assert "start_from: data/start_from/" in (project.root / "params.yaml").read_text()
    both_ways(project, tmp_path / "other", pools)


def test_a_time_limit_is_measured_once_and_gives_the_same_bytes_from_then_on(make_project, tmp_path, pools):
    project = make_project({**QUICK, "model.family": "auto", "budget.time_limit": "4s"}, table(), name="limited")
    stages(project, pools[0], "ingest", "split", "budget")
    lock = (project.root / "budget.lock").read_bytes()
    allowed, (written,) = read(project.root / "artifacts/budget.json"), json.loads(lock)["measurements"]
    assert {name: written[name] for name in allowed} == allowed
    assert allowed["epochs"] > 0
    # What costs more is a matter of the clock, and for tests/hone/test_prices.py.
    assert set(allowed["prices"]["family"]) >= {"mlp", "realmlp"}
    assert all(factor > 0 for factor in allowed["prices"]["family"].values())
    both_ways(project, tmp_path / "other", pools)
    assert (project.root / "budget.lock").read_bytes() == (tmp_path / "other" / "budget.lock").read_bytes() == lock
    spent = sum(
        pd.read_parquet(project.root / f"artifacts/{name}/trials.parquet")["cost"].sum()
        for name in ("search_random", "search_bayes", "search_hyperband")
    )
    assert spent <= allowed["epochs"] + 1e-6
