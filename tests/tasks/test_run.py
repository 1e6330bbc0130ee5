"""Running a stage: what is told to the tracker, and what is not."""

import errno
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from hone.errors import MachineError, UserError
from tasks import evaluate, project, record, run, run_page, sync, versioning
from tasks.params import Params
from tasks.reporting import NullReporter
from tasks.tracking import Entry, MlflowTracker, Tracker
from tasks.tracking.logged import read_run
from tasks.tracking.mlflow import connect
from tasks.tracking.uri import resolve

DVC = """
stages:
  ingest:
    cmd: python -m tasks.run ingest
    params: [data.source]
    outs: [data/raw/ingested]
  split:
    cmd: python -m tasks.run split
    deps: [data/raw/ingested]
    params: [data, split]
    outs: [data/split]
  report:
    cmd: python -m tasks.run report
    deps: [data/split]
    outs: [artifacts/report]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    content = Params().model_dump(mode="json")
    content["data"]["source"] = "sklearn:digits"
    content["tracking"]["uri"] = "postgresql://me:hunter2@host/name"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "dvc.yaml").write_text(DVC)
    return tmp_path


def run_stage(root: Path, name: str, reporter: NullReporter | None = None) -> None:
    """Run a stage as a process of its own does, with a tracker of its own."""
    tracker = MlflowTracker(root, None, "hone")
    with ThreadPoolExecutor(1) as executor:
        run.run_stage(root, name, reporter=reporter or NullReporter(), tracker=tracker, executor=executor)
    tracker.close()


def runs_of(root: Path) -> list[Any]:
    client = connect(resolve(root, None))
    return list(client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]))


def statuses(root: Path) -> dict[str, str]:
    """Return the status of each run, the pipeline's by the name "pipeline"."""
    return {
        "pipeline" if found.data.tags["hone.kind"] == "pipeline" else found.info.run_name: found.info.status
        for found in runs_of(root)
    }


def test_a_pipeline_is_finished_between_stages_and_running_while_one_runs(root: Path) -> None:
    class Watching(NullReporter):
        def message(self, text: str) -> None:
            seen.update(statuses(root))

    seen: dict[str, str] = {}
    run_stage(root, "ingest")
    assert statuses(root) == {"pipeline": "FINISHED", "ingest": "FINISHED"}
    run_stage(root, "split", Watching())
    assert seen == {"pipeline": "RUNNING", "ingest": "FINISHED", "split": "RUNNING"}
    assert statuses(root) == {"pipeline": "FINISHED", "ingest": "FINISHED", "split": "FINISHED"}


def test_a_password_in_the_tracking_uri_is_not_among_a_runs_params(root: Path) -> None:
    run_stage(root, "ingest")
    runs = runs_of(root)
    params = [run.data.params for run in runs if run.data.params]
    assert params
    for found in params:
        assert found["data.source"] == "sklearn:digits"
        assert not [name for name in found if name.startswith(("tracking.", "execution.", "schedule."))]
    assert "hunter2" not in str([run.to_dictionary() for run in runs])


def test_a_pipelines_run_records_what_is_needed_to_do_it_again(root: Path) -> None:
    content = yaml.safe_load((root / "params.yaml").read_text())
    content["budget"]["time_limit"] = "10m"
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    (root / "budget.lock").write_text("{}")
    run_stage(root, "ingest")
    ingested = {"ingest": {"data/raw/ingested": record.md5(root / "data/raw/ingested")}}
    (stage,) = [found.info.run_id for found in runs_of(root) if found.data.tags["hone.kind"] == "stage"]
    logged = read_run(root, None, stage)
    assert (logged.stage, logged.stages) == ("ingest", {"ingest": stage})
    assert logged.file("budget.lock") == b"{}"
    assert logged.file("no.such") is None
    assert record.parse("it", logged.tags).outs == ingested

    # A stage restored from a cache logs nothing: the one below it speaks for it.
    for name in ("mlflow.db", "mlflow.db-shm", "mlflow.db-wal"):
        (root / name).unlink(missing_ok=True)
    run_stage(root, "split")
    (pipeline,) = [found.info.run_id for found in runs_of(root) if found.data.tags["hone.kind"] == "pipeline"]
    logged = read_run(root, None, pipeline)
    assert logged.stage is None
    assert record.parse("it", logged.tags).outs == {
        **ingested,
        "split": {"data/split": record.md5(root / "data/split")},
    }
    with pytest.raises(UserError, match="is it a run there"):
        read_run(root, None, "0" * 32)


def test_a_stage_whose_records_find_no_room_has_not_ended(root: Path) -> None:
    class Full(Tracker):
        def log(self, entry: Entry) -> None: ...

        def close(self) -> None: ...

        def secure(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device", ".work/spool/mlflow.jsonl")

    with ThreadPoolExecutor(1) as executor, pytest.raises(MachineError, match=r"spool/mlflow.jsonl: No space left"):
        run.run_stage(root, "ingest", reporter=NullReporter(), tracker=Full(), executor=executor)
    assert not list(root.glob(f".work/ingest-*/{run.ENDED}"))


@pytest.mark.parametrize("changed", [[], ["data/raw", "seed"]])
def test_a_model_is_registered_if_what_it_was_made_of_is_still_what_the_key_names(
    root: Path, changed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Warned(NullReporter):
        def warning(self, text: str) -> None:
            warnings.append(text)

    warnings: list[str] = []
    published: list[Path] = []
    (root / "dvc.yaml").write_text("stages: {evaluate: {cmd: python -m tasks.run evaluate}}")
    monkeypatch.setattr(evaluate, "run", lambda stage: None)
    monkeypatch.setattr(versioning, "changed_above", lambda root, name: changed)
    monkeypatch.setattr(sync, "publish", lambda root, *_: published.append(root))
    run_stage(root, "evaluate", Warned())
    if not changed:
        assert (published, warnings) == ([root], [])
        return
    assert published == []
    assert not (root / sync.PENDING).exists()
    (warning,) = warnings
    assert "the model is not registered, as data/raw, seed changed after earlier stages had used it" in warning


@pytest.mark.parametrize(
    ("variables", "program", "command"),
    [
        ((), "/bin/hone", "hone tune"),
        ((), "/p/flows/tune.py", "hone tune"),
        ((), "/p/tasks/run.py", "python -m tasks.run"),
        (("DVC_STAGE",), "/p/tasks/run.py", "dvc repro"),
        ((project.SERVED_BY,), "/p/prefect/engine.py", "hone serve"),
    ],
)
def test_a_run_names_the_command_that_it_was_started_by(
    variables: tuple[str, ...], program: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DVC_STAGE", project.SERVED_BY):
        monkeypatch.delenv(name, raising=False)
    for name in variables:
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(sys, "argv", [program])
    assert run_page.who(tmp_path)["mlflow.source.name"] == command
