"""What trackers missed is sent, and what cannot be is said; the registry gets the model that it was to get, or none."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from hone.errors import UserError
from tasks import registry, sync
from tasks.params import Params, load_params
from tasks.registry import Candidate, Published
from tasks.reporting import NullReporter
from tasks.tracking import Entry, Fanout, NullTracker, SpoolingTracker, Tracker, waiting

DVC = "stages: {ingest: {cmd: python -m tasks.run ingest, params: [data.source], outs: [data/raw/ingested]}}"
GONE = Entry(key="k", kind="pipeline", name="n", status="finished", files=("gone.txt",))


class Saying(NullReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str) -> None:
        self.said.append(text)

    warning = message


class Away(Tracker):
    def log(self, entry: Entry) -> None:
        raise ConnectionError("nobody there")

    def close(self) -> None:
        pass


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(DVC)
    for name in ("sealed/test", "validation"):
        path = tmp_path / "data" / "split" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"x": [1]}).to_parquet(path)
    (tmp_path / sync.MODEL).mkdir(parents=True)
    (tmp_path / sync.MODEL / "model.json").write_text("one")
    (tmp_path / sync.SCORES).parent.mkdir(parents=True)
    (tmp_path / sync.SCORES).write_text(json.dumps({"tuned": {"accuracy": 0.9}}))
    track(tmp_path, None)
    return tmp_path


def track(root: Path, uri: str | None) -> None:
    content = Params().model_dump(mode="json")
    content["tracking"]["uri"] = uri
    (root / "params.yaml").write_text(yaml.safe_dump(content))


def left(root: Path, *entries: Entry) -> None:
    """Leave entries in the spool of a tracker that is away."""
    spool = SpoolingTracker(Away(), root / ".work/spool/mlflow.jsonl", name="mlflow", patience=0)
    for entry in entries:
        spool.log(entry)
    spool.close()
    assert waiting(root) == {"mlflow": len(entries)}


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the pipelines whose models the registry was given."""
    keys: list[str] = []

    def publish(root: Path, params: Params, candidate: Candidate, **more: Any) -> Published:
        keys.append(candidate.pipeline)
        return Published(name="hone", version="1", is_champion=True, decision="first")

    monkeypatch.setattr(registry, "publish", publish)
    return keys


@pytest.mark.parametrize(
    ("tags", "locks", "said"),
    [
        ({}, [], "run 1f in MLflow: `hone reproduce 1f` does it again"),
        (
            {"hone.git_dirty": "true", "hone.git_changes": "params.yaml"},
            ["budget.lock"],
            "run 1f in MLflow, of uncommitted changes (params.yaml): committed with dvc.lock and budget.lock, "
            "`hone reproduce HEAD` does it again",
        ),
        (
            {"hone.git_commit": "none", "hone.git_dirty": "unknown"},
            [],
            "run 1f in MLflow, of what is not in git: committed with dvc.lock, `hone reproduce HEAD` does it again",
        ),
    ],
)
def test_a_run_says_how_it_is_done_again(
    tags: dict[str, str], locks: list[str], said: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`hone reproduce` refuses what was never committed, so that is not what a run of it promises."""
    found = Published(name="hone", version="1", is_champion=True, decision="first", run="1f")
    monkeypatch.setattr(registry, "publish", lambda *_, **__: found)
    for name in locks:
        (root / name).touch()
    reporter = Saying()
    clean = {"hone.git_commit": "ab12", "hone.git_dirty": "false", "hone.git_changes": "none"}
    sync.publish(root, reporter, load_params(root), "key", {**clean, **tags})
    assert said in reporter.said


def test_the_end_of_a_run_says_how_many_models_its_sealed_rows_have_judged(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[float, str]] = []

    def publish(root: Path, params: Params, candidate: Candidate, **more: Any) -> Published:
        given.append((params.evaluate.confidence, candidate.sealed))
        return Published(name="hone", version="4", is_champion=False, decision="worse", looks=4)

    monkeypatch.setattr(registry, "publish", publish)
    reporter = Saying()
    sync.publish(root, reporter, load_params(root), "key", {})
    assert any(text.startswith("These sealed rows have judged 4 models; ") for text in reporter.said)
    sealed = (root / "data" / "split" / "sealed" / "test.parquet").read_bytes()
    assert given == [(0.95, hashlib.md5(sealed, usedforsecurity=False).hexdigest())]


def test_a_model_is_registered_as_the_pipelines_that_made_it(root: Path, published: list[str]) -> None:
    key = sync.pipeline.pipeline_fingerprint(root, load_params(root).model_dump(mode="json"), "sklearn:digits")
    sync.publish_later(root, NullReporter(), key)
    assert sync.owed(root)
    sync.send(root, NullReporter())
    assert published == [key]
    assert not sync.owed(root)


@pytest.mark.parametrize("changed", [f"{sync.MODEL}/model.json", sync.SCORES])
def test_another_model_that_came_into_its_place_is_not(root: Path, published: list[str], changed: str) -> None:
    key = sync.pipeline.pipeline_fingerprint(root, load_params(root).model_dump(mode="json"), "sklearn:digits")
    sync.publish_later(root, NullReporter(), key)
    (root / changed).write_text(json.dumps({"tuned": {"accuracy": 0.1}}))
    sync.send(root, NullReporter())
    assert published == []
    assert not sync.owed(root)


def test_without_a_registry_none_is_owed_a_model(root: Path, published: list[str]) -> None:
    sync.publish_later(root, NullReporter(), "k")
    track(root, "none")
    sync.send(root, NullReporter())
    assert published == []
    assert not sync.owed(root)


def test_what_waits_for_a_tracker_that_params_no_longer_name_is_said_and_holds_nothing_up(root: Path) -> None:
    left(root, GONE)
    track(root, "none")
    assert not sync.owed(root)
    reporter = Saying()
    sync.send(root, reporter)
    assert "mlflow: 1 entries wait, and params.yaml no longer names it" in reporter.said[0]
    assert waiting(root) == {"mlflow": 1}


def test_what_a_tracker_refuses_is_said(root: Path) -> None:
    left(root, GONE)
    reporter = Saying()
    sync.send(root, reporter)
    assert any("it refuses k (gone, or changed since: gone.txt), which is left out" in text for text in reporter.said)
    assert waiting(root) == {}


def test_what_still_waits_is_an_error(root: Path) -> None:
    left(root, GONE)
    track(root, "http://127.0.0.1:9")
    with pytest.raises(UserError, match="1 entries for mlflow could not be sent"):
        sync.send(root, NullReporter(), patience=5)


def test_one_tracker_that_is_down_is_not_taken_for_another(tmp_path: Path) -> None:
    away = SpoolingTracker(Away(), tmp_path / "wandb.jsonl", name="wandb", retry=0.01, patience=1)
    everything = Fanout([NullTracker(), away])
    assert everything.down == frozenset()
    everything.log(GONE)
    everything.close()
    assert everything.down == {"wandb"}
