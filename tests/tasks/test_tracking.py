"""Tracking against real stores: MLflow on SQLite, TensorBoard's event files, and a spool on disk."""

import base64
import contextlib
import errno
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from hone.errors import UserError
from tasks.files import sha256
from tasks.params import Tracking
from tasks.tracking import (
    Dataset,
    Entry,
    Fanout,
    MlflowTracker,
    NullTracker,
    RefusedError,
    SpoolingTracker,
    TensorBoardTracker,
    Tracker,
    WandbTracker,
    open_tracker,
    views,
)
from tasks.tracking.entry import WithoutTrials
from tasks.tracking.logged import read_run, read_trials
from tasks.tracking.mlflow import FACTS, connect
from tasks.tracking.mlflow_tables import Tables, make_tables
from tasks.tracking.uri import resolve

REPOSITORY = Path(__file__).parents[2]
PIPELINE = Entry(
    key="abc",
    kind="pipeline",
    name="digits",
    params={"seed": "0"},
    tags={"git_commit": "123"},
    metrics=(("best_so_far", 0.5, 0),),
)
STAGE = Entry(key="abc/search_random", kind="stage", name="search_random", parent="abc")
TRIALS = tuple(
    Entry(
        key=f"abc/search_random/{number}",
        kind="trial",
        name=f"search_random-{number:04d}",
        parent="abc/search_random",
        params={"learning_rate": f"0.{number}1"},
        metrics=(("accuracy", 0.5, 1), ("accuracy", 0.6, 2), ("objective", float("inf"), 2)),
        tags={"state": "complete"},
        status="finished",
        seconds=1.5,
    )
    for number in range(3)
)
DONE = replace(
    PIPELINE, metrics=(("best_so_far", 0.5, 0), ("best_so_far", 0.7, 1)), status="finished", files=("a/r.txt",)
)
ENTRIES = (PIPELINE, STAGE, *TRIALS, replace(STAGE, status="finished"), DONE)


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make MLflow's tables once; making them takes seconds, copying them nothing."""
    path = tmp_path_factory.mktemp("template") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def root(tmp_path: Path, empty_database: Path) -> Path:
    """Return a project with a database and one artifact."""
    source, target = sqlite3.connect(empty_database), sqlite3.connect(tmp_path / "mlflow.db")
    source.backup(target)
    source.close()
    target.close()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "r.txt").write_text("report")
    return tmp_path


def runs_of(root: Path) -> dict:
    """Return the runs of the project's database by key; a key that is there twice fails the test."""
    client = connect(resolve(root, None))
    experiment = client.get_experiment_by_name("hone")
    found = client.search_runs([experiment.experiment_id]) if experiment else []
    runs = {run.data.tags["hone.key"]: run for run in found}
    assert len(runs) == len(found)
    return runs


def history(root: Path, run, metric: str) -> list[tuple[int, float]]:
    client = connect(resolve(root, None))
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]


def run_python(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def log_all(tracker: Tracker, entries: tuple[Entry, ...] = ENTRIES) -> None:
    for entry in entries:
        tracker.log(entry)
    tracker.close()


def test_a_pipeline_its_stages_and_trials_are_nested_runs(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"))
    runs = runs_of(root)
    assert set(runs) == {entry.key for entry in ENTRIES}
    for entry in ENTRIES:
        parent = runs[entry.parent].info.run_id if entry.parent else None
        assert runs[entry.key].data.tags.get("mlflow.parentRunId") == parent
        assert runs[entry.key].info.status == "FINISHED"
    trial = runs[TRIALS[1].key]
    assert trial.info.run_name == "search_random-0001"
    assert trial.data.params == {"learning_rate": "0.11"}
    assert trial.data.tags["state"] == "complete"
    assert trial.info.end_time - trial.info.start_time == 1500
    assert history(root, trial, "accuracy") == [(1, 0.5), (2, 0.6)]
    assert "objective" not in trial.data.metrics  # infinite


def test_best_so_far_is_a_curve_on_the_parent(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"))
    assert history(root, runs_of(root)["abc"], "best_so_far") == [(0, 0.5), (1, 0.7)]


def test_files_are_artifacts_beside_the_database(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"))
    run_id = runs_of(root)["abc"].info.run_id
    assert (root / "mlartifacts" / run_id / "artifacts" / "a" / "r.txt").read_text() == "report"


ABOUT = replace(
    PIPELINE,
    facts={"hone.data_hash": "d", "hone.outs.split": {"rows": "1"}},
    datasets=(Dataset(name="rows", digest="ab" * 32, context="test", source={"uri": "t.csv"}, n_rows=3, n_columns=2),),
    views={"abc": "a view"},
)


@pytest.mark.parametrize("again", [False, True])
def test_facts_of_all_entries_are_one_file_and_no_tags(root: Path, again: bool) -> None:
    tracker = MlflowTracker(root, None, "hone")
    tracker.log(ABOUT)
    if again:
        log_all(tracker, (ABOUT,))
        tracker = MlflowTracker(root, None, "hone")
    log_all(tracker, (replace(PIPELINE, facts={"hone.outs.split": {"rows": "2"}, "hone.outs.budget": {"b": "3"}}),))
    run = runs_of(root)["abc"]
    (file,) = (root / "mlartifacts").rglob("*.json")
    assert file.name == FACTS
    assert json.loads(file.read_text()) == {
        "hone.data_hash": "d",
        "hone.outs.split": {"rows": "2"},
        "hone.outs.budget": {"b": "3"},
    }
    assert not [tag for tag in run.data.tags if tag.startswith(("hone.outs", "hone.data_hash"))]
    tags = read_run(root, None, run.info.run_id).tags
    assert (tags["hone.data_hash"], tags["hone.outs.split"]) == ("d", '{"rows": "2"}')


def test_facts_that_hone_did_not_write_are_refused_in_a_line(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"), (ABOUT,))
    (file,) = (root / "mlartifacts").rglob("*.json")
    for content in ("[1]", "{", "\x00"):
        file.write_text(content)
        with pytest.raises(UserError, match=f"its {FACTS} is not as Hone writes it"):
            read_run(root, None, runs_of(root)["abc"].info.run_id)
    log_all(MlflowTracker(root, None, "hone"), (ABOUT,))
    assert json.loads(file.read_text()) == dict(ABOUT.facts)


def test_facts_are_tags_where_the_folder_of_files_is_anothers_and_where_a_former_version_logged_them(
    root: Path,
) -> None:
    (root / "file").touch()
    connect(resolve(root, None)).create_experiment("hone", (root / "file" / "mlartifacts").as_uri())
    log_all(MlflowTracker(root, None, "hone"), (ABOUT,))
    run = runs_of(root)["abc"]
    assert run.data.tags["hone.outs.split"] == '{"rows": "1"}'
    assert read_run(root, None, run.info.run_id).tags["hone.outs.split"] == '{"rows": "1"}'


def test_datasets_are_inputs_of_the_run_once(root: Path) -> None:
    for _ in range(2):
        log_all(MlflowTracker(root, None, "hone"), (ABOUT, ABOUT))
    (used,) = runs_of(root)["abc"].inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("rows", "ab" * 8)
    assert json.loads(used.dataset.source) == {"uri": "t.csv"}
    assert json.loads(used.dataset.profile) == {"num_rows": 3, "num_elements": 6}
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "test")]


def test_views_are_saved_with_the_experiment_and_a_note_says_where_the_pipeline_is(root: Path) -> None:
    assert views.links(root, "sqlite:///m.db", "mine", "abc", 7) == [
        ("experiments", "http://127.0.0.1:7/#/experiments?workflowType=machine_learning")
    ]
    log_all(MlflowTracker(root, None, "hone"), (ABOUT,))
    experiment = connect(resolve(root, None)).get_experiment_by_name("hone")
    assert experiment.tags["mlflow.sharedViewState.abc"] == "a view"
    assert experiment.tags["mlflow.sharedViewState.pipelines"] == views.pipelines_view()
    run = runs_of(root)["abc"].info.run_id
    found = dict(views.links(root, "https://me:secret@host", "mine", "abc"))
    start, end = f"https://host/#/experiments/{experiment.experiment_id}/runs", "workflowType=machine_learning"
    assert found == {
        "pipelines": f"{start}?viewStateShareKey=pipelines&{end}",
        "this pipeline": f"{start}/{run}?{end}",
        "its trials": f"{start}?viewStateShareKey=abc&{end}",
        "as charts": f"{start}?viewStateShareKey=abc&{end}&compareRunsMode=CHART",
        "models": f"https://host/#/models/mine?{end}",
    }


def test_links_are_to_the_pipeline_that_is_asked_for_and_not_to_the_last_one_logged(tmp_path: Path) -> None:
    for pipeline in ("seed 0", "seed 1"):
        views.note(tmp_path, "1", f"run of {pipeline}", pipeline)
    start, end = "http://127.0.0.1:5000/#/experiments/1/runs", "?workflowType=machine_learning"
    for pipeline in ("seed 0", "seed 1"):
        assert (
            dict(views.links(tmp_path, "m.db", "mine", pipeline))["this pipeline"] == f"{start}/run of {pipeline}{end}"
        )
    for unknown in ("seed 2", None):
        assert list(dict(views.links(tmp_path, "m.db", "mine", unknown))) == ["pipelines", "models"]


def test_of_many_pipelines_the_last_ones_logged_are_noted(tmp_path: Path) -> None:
    views.note(tmp_path, "1", "a", "first")
    for number in range(views.NOTED):
        views.note(tmp_path, "1", "r", "first" if number == 7 else f"{number}")
    assert "this pipeline" in dict(views.links(tmp_path, "m.db", "mine", "first"))
    views.note(tmp_path, "1", "r", "new")
    assert "this pipeline" not in dict(views.links(tmp_path, "m.db", "mine", "0"))
    assert "this pipeline" in dict(views.links(tmp_path, "m.db", "mine", "1"))


@pytest.mark.parametrize("content", ["", "[]", '{"run": "r"}', '{"pipelines": [1]}', '{"pipelines": {"a": 1}}'])
def test_a_note_that_is_damaged_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / ".work").mkdir()
    (tmp_path / views.PLACE).write_text(content)
    assert [name for name, _ in views.links(tmp_path, "m.db", "mine", "a")] == ["experiments"]
    views.note(tmp_path, "1", "r", "a")
    assert len(views.links(tmp_path, "m.db", "mine", "a")) == 5


def test_a_view_of_many_hyperparameters_fits_into_a_tag_and_names_those_that_all_trials_have() -> None:
    configs = [{f"hyperparameter_number_{i}": 1 for i in range(60)}, {f"hyperparameter_number_{i}": 1 for i in (3, 5)}]
    text = views.trials_view("f" * 64, "rmse", configs, lower_is_better=True)
    assert len(text) < views.LONGEST
    view = json.loads(zlib.decompress(base64.b64decode(text.removeprefix("deflate;"))))
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`best_rmse`", True)
    assert "params.`hyperparameter_number_39`" in view["selectedColumns"]
    assert view["compareRunCharts"][0]["selectedParams"] == ["hyperparameter_number_3", "hyperparameter_number_5"]


@pytest.mark.parametrize("logged", [("objective", -0.6), ("best_accuracy", 0.6)])
def test_trials_of_this_and_of_a_former_version_are_read_alike(root: Path, logged: tuple[str, float]) -> None:
    tags = {"hone.state": "complete", "hone.origin": "sobol", "hone.generation": "0", "hone.resource": "2"}
    trial = replace(
        TRIALS[0],
        key="abc/search_random/search_random-0000",
        metrics=(("accuracy", 0.5, 1), ("accuracy", 0.6, 2), (*logged, 0)),
        tags={**tags, "hone.rows": "1.0"},
    )
    log_all(MlflowTracker(root, None, "hone"), (PIPELINE, STAGE, trial))
    (result,) = read_trials(root, None, runs_of(root)["abc"].info.run_id).results
    assert (result.objective, result.best_epoch, result.curve) == (-0.6, 2, (-0.5, -0.6))


def test_what_a_kill_left_of_a_copy_is_gone_once_the_files_are_logged_again(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"))
    folder = root / "mlartifacts" / runs_of(root)["abc"].info.run_id / "artifacts" / "a"
    (folder / ".artifact.uploading.5xdlbk8c").write_text("rep")
    log_all(MlflowTracker(root, None, "hone"))
    assert [path.name for path in folder.iterdir()] == ["r.txt"]


def test_logging_everything_again_adds_nothing(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"))
    before = rows(root)
    log_all(MlflowTracker(root, None, "hone"))
    assert rows(root) == before


def rows(root: Path) -> dict[str, int]:
    connection = sqlite3.connect(root / "mlflow.db")
    tables = ("runs", "metrics", "params", "tags", "experiments")
    counts = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    connection.close()
    return counts


def test_a_trial_that_failed_and_was_tried_again_is_what_it_came_to(root: Path) -> None:
    failed = replace(TRIALS[0], status="failed", metrics=(), tags={"state": "failed", "hone.error": "out of memory"})
    other = replace(TRIALS[1], params={"learning_rate": "7"})
    in_another_order = replace(TRIALS[2], metrics=TRIALS[2].metrics[::-1])
    log_all(MlflowTracker(root, None, "hone"), (failed, TRIALS[1], TRIALS[2]))
    kept = runs_of(root)[TRIALS[2].key].info.run_id
    for _ in range(2):
        log_all(MlflowTracker(root, None, "hone"), (TRIALS[0], other, in_another_order))
        found = runs_of(root)  # each once
        assert found[failed.key].info.status == "FINISHED"
        assert "hone.error" not in found[failed.key].data.tags
        assert found[failed.key].data.metrics["accuracy"] == 0.6
        assert found[other.key].data.params == {"learning_rate": "7"}
        assert found[TRIALS[2].key].info.run_id == kept


def test_a_trial_that_a_kill_cut_short_is_completed_not_repeated(root: Path) -> None:
    whole = TRIALS[0]
    half = replace(whole, metrics=whole.metrics[:1], status="running")
    log_all(MlflowTracker(root, None, "hone"), (PIPELINE, STAGE, half))
    log_all(MlflowTracker(root, None, "hone"), (whole,))
    run = runs_of(root)[whole.key]
    assert run.info.status == "FINISHED"
    assert history(root, run, "accuracy") == [(1, 0.5), (2, 0.6)]


def content(root: Path) -> dict[str, list[tuple]]:
    """Return the rows of MLflow's tables, with runs named by their keys and the project's folder left out."""
    connection = sqlite3.connect(root / "mlflow.db")
    keys = dict(connection.execute("SELECT run_uuid, value FROM tags WHERE key = 'hone.key'"))

    def known(value: object) -> object:
        if not isinstance(value, str):
            return value
        for run, key in keys.items():
            value = value.replace(run, key)
        return value.replace(root.as_uri(), "")

    found = {}
    for table in ("runs", "tags", "params", "metrics", "latest_metrics"):
        cursor = connection.execute(f"SELECT * FROM {table}")
        found[table] = sorted((tuple(map(known, row)) for row in cursor), key=repr)
    connection.close()
    return found


def test_a_trial_is_the_rows_that_mlflows_client_writes(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    uneven = replace(
        TRIALS[1],
        metrics=(
            ("accuracy", 0.5, 2),
            ("accuracy", 0.6, 1),
            ("tie", 1.0, 0),
            ("tie", 2.0, 0),
            ("nan", float("nan"), 1),
            ("recall@5", 0.5, 0),
        ),
        params={"learning_rate": "0.1", "name": "x" * 7000, "empty": "", "Age (years)": "1", "Age [years]": "2"},
        tags={"hone.error": "e" * 9000},
        status="failed",
    )
    bare = replace(TRIALS[2], metrics=(), params={}, tags={}, seconds=None)
    entries = [replace(entry, at=1_700_000_000.1234) for entry in (PIPELINE, STAGE, TRIALS[0], uneven, bare)]
    other = tmp_path_factory.mktemp("other")
    shutil.copyfile(root / "mlflow.db", other / "mlflow.db")
    log_all(MlflowTracker(root, None, "hone"), tuple(entries))
    monkeypatch.setattr("tasks.tracking.mlflow.tables_of", lambda client, experiment: None)
    log_all(MlflowTracker(other, None, "hone"), tuple(entries))
    assert content(root) == content(other)


def test_a_trial_costs_one_transaction(root: Path) -> None:
    tracker = MlflowTracker(root, None, "hone")
    tracker.log(STAGE)
    with commits() as counted:
        log_all(tracker, TRIALS)
    assert len(counted) == len(TRIALS)


@contextlib.contextmanager
def commits() -> Iterator[list]:
    """Yield a list that grows by one with each commit of a transaction to a database."""
    counted = []

    def count(connection: object) -> None:
        counted.append(connection)

    event.listen(Engine, "commit", count)
    try:
        yield counted
    finally:
        event.remove(Engine, "commit", count)


@pytest.mark.parametrize("committed", [False, True])
def test_where_the_tables_fail_the_client_writes_each_trial_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, committed: bool
) -> None:
    write = Tables.write

    def failing(*arguments: object, **named: object) -> None:
        if committed:
            write(*arguments, **named)
        raise OSError("the connection was lost")

    monkeypatch.setattr(Tables, "write", failing)
    log_all(MlflowTracker(root, None, "hone"))
    runs = runs_of(root)
    assert set(runs) == {entry.key for entry in ENTRIES}
    assert all(run.info.status == "FINISHED" for run in runs.values())
    assert history(root, runs[TRIALS[2].key], "accuracy") == [(1, 0.5), (2, 0.6)]
    why = "MLflow: trials are logged in several calls each from now on: the connection was lost"
    assert [record.getMessage() for record in caplog.records] == [why]


@pytest.mark.parametrize(
    ("said", "turned_off"), [("database is locked", False), ("table runs has no column named name", True)]
)
def test_where_the_database_is_busy_the_client_writes_that_one_trial(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, said: str, turned_off: bool
) -> None:
    write, written = Tables.write, []

    def busy_once(*arguments: object, **named: object) -> str | None:
        written.append(named["name"])
        if len(written) == 1:
            with arguments[0]._store.ManagedSessionMaker(read_only=False):  # makes of it what MLflow does
                raise OperationalError("INSERT", {}, sqlite3.OperationalError(said))
        return write(*arguments, **named)

    monkeypatch.setattr(Tables, "write", busy_once)
    log_all(MlflowTracker(root, None, "hone"))
    assert written == [trial.name for trial in (TRIALS[:1] if turned_off else TRIALS)]
    assert set(runs_of(root)) == {entry.key for entry in ENTRIES}
    assert [record.name for record in caplog.records].count("tasks.tracking.mlflow") == turned_off  # and MLflow's own


def test_where_the_experiments_folder_is_anothers_only_files_are_left_out(root: Path) -> None:
    (root / "file").touch()  # no folder can be made below it, as below another's home
    connect(resolve(root, None)).create_experiment("hone", (root / "file" / "mlartifacts").as_uri())
    warnings: list[str] = []
    log_all(spooling(root, None, warnings))
    runs = runs_of(root)
    assert set(runs) == {entry.key for entry in ENTRIES}
    assert runs[DONE.key].info.status == "FINISHED"
    assert history(root, runs[DONE.key], "best_so_far") == [(0, 0.5), (1, 0.7)]
    (warning,) = warnings
    assert "no files: " in warning
    assert "another tracking.experiment, or an MLflow server, can), which is left out" in warning


def test_nothing_is_written_to_an_experiment_that_was_deleted_meanwhile(root: Path) -> None:
    tracker = MlflowTracker(root, None, "hone")
    tracker.log(STAGE)
    tracker.log(TRIALS[0])
    client, before = connect(resolve(root, None)), rows(root)
    client.delete_experiment(client.get_experiment_by_name("hone").experiment_id)
    with pytest.raises(RefusedError, match="must be in the 'active' state"):
        tracker.log(TRIALS[1])
    assert {**rows(root), "tags": 0} == {**before, "tags": 0}


def test_a_trial_that_mlflow_refuses_is_refused_and_the_next_is_not(root: Path) -> None:
    tracker = MlflowTracker(root, None, "hone")
    with pytest.raises(RefusedError, match="nvalid"):
        tracker.log(replace(TRIALS[0], metrics=(("accuracy", 1.0, "no step"),)))  # type: ignore[arg-type]
    with commits() as counted:
        log_all(tracker, TRIALS[1:])
    assert len(counted) == len(TRIALS[1:])
    assert all(runs_of(root)[trial.key].info.status == "FINISHED" for trial in TRIALS[1:])


ODD = [
    "Age (years)",
    "Age [years]",
    "a//b",
    "../a",
    "/a",
    "a/",
    ".",
    "..",
    "...b",
    "",
    "x" * 251,
    "50 %",
    "ä\u0301 ×",
    "a\n",
]


@pytest.mark.parametrize("by_client", [False, True])
def test_names_that_mlflow_does_not_take_cost_no_others_and_stay_apart(
    root: Path, monkeypatch: pytest.MonkeyPatch, by_client: bool
) -> None:
    if by_client:
        monkeypatch.setattr("tasks.tracking.mlflow.tables_of", lambda client, experiment: None)
    names = [*ODD, "learning_rate", "data.kinds.a b", "best/a:b", "größe"]
    params, points = (
        {name: str(i) for i, name in enumerate(names)},
        [(name, float(i), 0) for i, name in enumerate(names)],
    )
    pipeline, trial = (replace(entry, params=params, metrics=tuple(points)) for entry in (PIPELINE, TRIALS[0]))
    for _ in range(2):
        log_all(MlflowTracker(root, None, "hone"), (pipeline, trial))
    for key in (pipeline.key, trial.key):
        data = runs_of(root)[key].data
        assert sorted(map(int, data.params.values())) == sorted(data.metrics.values()) == list(range(len(names)))
        assert {name for name in names if name in data.params and name in data.metrics} == set(names) - set(ODD)
    assert next(name for name, value in data.params.items() if value == "0").startswith("Age _years_ ")
    assert {data.tags.get(f"hone.name.{name}", name): value for name, value in data.params.items()} == params


def test_of_a_run_that_a_server_made_twice_one_is_left(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"), (PIPELINE, STAGE))
    client = connect(resolve(root, None))
    experiment = client.get_experiment_by_name("hone").experiment_id
    for key in (STAGE.key, TRIALS[0].key, TRIALS[0].key):
        client.create_run(experiment, tags={"hone.key": key, "hone.pipeline": "abc"})
    log_all(MlflowTracker(root, None, "hone"), (*TRIALS, DONE))
    runs = runs_of(root)  # where each key is there once
    assert len(runs) == 2 + len(TRIALS)
    assert runs[TRIALS[0].key].info.status == "FINISHED"


def test_a_pipeline_that_has_ended_and_runs_again_is_running_and_then_finished(root: Path) -> None:
    statuses = []
    for status in ("failed", "running", "finished", "running", "killed", "running", "finished"):
        tracker = MlflowTracker(root, None, "hone")
        tracker.log(replace(DONE, status=status))
        tracker.close()
        statuses.append(runs_of(root)["abc"].info.status)
    assert statuses == ["FAILED", "RUNNING", "FINISHED", "RUNNING", "KILLED", "RUNNING", "FINISHED"]
    assert history(root, runs_of(root)["abc"], "best_so_far") == [(0, 0.5), (1, 0.7)]


def test_an_entry_whose_parents_nobody_logged_makes_bare_ones(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"), TRIALS[:1])
    assert set(runs_of(root)) == {"abc", "abc/search_random", TRIALS[0].key}


def test_more_values_than_mlflow_takes_at_once_are_all_there(root: Path) -> None:
    many = replace(
        PIPELINE,
        params={f"p{i}": "x" * 7000 for i in range(150)},
        metrics=tuple(("loss", float(step), step) for step in range(1700)),
        tags={f"t{i}": "y" for i in range(150)},
    )
    log_all(MlflowTracker(root, None, "hone"), (many,))
    log_all(MlflowTracker(root, None, "hone"), (many,))
    run = runs_of(root)["abc"]
    assert len(run.data.params) == 150
    assert history(root, run, "loss") == [(step, float(step)) for step in range(1700)]


def test_the_database_is_in_write_ahead_mode(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"), (PIPELINE,))
    connection = sqlite3.connect(root / "mlflow.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_new_database_is_made_without_a_word(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from tasks.tracking import *\n"
        "t = MlflowTracker(Path('.'), None, 'hone')\n"
        "t.log(Entry(key='k', kind='pipeline', name='n', status='finished')); t.close()"
    )
    done = run_python(script, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert set(runs_of(tmp_path)) == {"k"}


def test_a_database_whose_making_was_cut_short_has_no_tables_yet(tmp_path: Path) -> None:
    script = (
        "import os, sqlite3, sys\n"
        "from mlflow.store.db import utils\n"
        "from tasks.tracking.mlflow import connect\n"
        "utils._upgrade_db = lambda engine: os._exit(9)\n"  # with half of the tables made
        "connect('sqlite:///' + os.path.abspath('mlflow.db'))"
    )
    assert run_python(script, tmp_path).returncode == 9
    log_all(MlflowTracker(tmp_path, None, "hone"), TRIALS)
    assert len(runs_of(tmp_path)) == 2 + len(TRIALS)


def test_tables_that_another_process_made_meanwhile_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.db import utils

    path, make = tmp_path / "shared.db", utils._initialize_tables

    def slowly(engine: Engine) -> None:
        make(engine)
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TABLE theirs (x)")
            database.commit()

    monkeypatch.setattr(utils, "_initialize_tables", slowly)
    make_tables(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    assert [each.name for each in tmp_path.iterdir()] == ["shared.db"]


def test_entries_logged_just_before_a_kill_are_sent_next_time(root: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from tasks.tracking import *\n"
        "t = SpoolingTracker(MlflowTracker(Path('.'), None, 'hone'), Path('.work/spool/m.jsonl'), name='mlflow')\n"
        "for i in range(30): t.log(Entry(key=f'k/s/{i}', kind='trial', name='n', parent='k/s', status='finished'))\n"
        "os.kill(os.getpid(), 9)"
    )
    assert run_python(script, root).returncode == -9
    SpoolingTracker(MlflowTracker(root, None, "hone"), root / ".work/spool/m.jsonl", name="mlflow").close()
    assert set(runs_of(root)) == {"k", "k/s", *(f"k/s/{i}" for i in range(30))}
    assert not (root / ".work/spool/m.jsonl").exists()


def spooling(root: Path, uri: str | None, warnings: list[str], **options: float) -> SpoolingTracker:
    file = root / ".work" / "spool" / "mlflow.jsonl"
    return SpoolingTracker(MlflowTracker(root, uri, "hone"), file, name="mlflow", warn=warnings.append, **options)


def test_a_broken_store_costs_one_warning_and_its_entries_are_sent_later(root: Path) -> None:
    (root / "file").write_text("")
    warnings: list[str] = []
    log_all(spooling(root, "sqlite:///file/below.db", warnings))
    assert len(warnings) == 1
    assert "\n" not in warnings[0]
    assert "tracking with mlflow" in warnings[0]
    assert ".work/spool/mlflow.jsonl" in warnings[0]
    spooling(root, None, warnings).close()
    assert len(warnings) == 1
    assert set(runs_of(root)) == {entry.key for entry in ENTRIES}
    assert history(root, runs_of(root)["abc"], "best_so_far") == [(0, 0.5), (1, 0.7)]


def test_a_file_that_a_later_run_has_changed_is_not_taken_for_an_earlier_ones(root: Path) -> None:
    for name in ("kept.json", "changed.json"):
        (root / name).write_text("{}")
    digests = {name: sha256(root / name) for name in ("kept.json", "changed.json")}
    entry = Entry(key="abc", kind="pipeline", name="n", files=tuple(digests), digests=digests, status="finished")
    (root / "changed.json").write_text('{"later": 1}')
    tracker = MlflowTracker(root, None, "hone")
    with pytest.raises(RefusedError, match=r"gone, or changed since: changed\.json"):
        tracker.log(Entry.from_json(json.loads(json.dumps(entry.to_json()))))
    tracker.close()
    run = runs_of(root)["abc"]
    assert run.info.status == "FINISHED"
    assert {each.name for each in (root / "mlartifacts").rglob("*.json")} == {"kept.json"}


def test_a_server_that_is_down_costs_one_warning(root: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    warnings: list[str] = []
    log_all(spooling(root, f"http://127.0.0.1:{port}", warnings))
    assert len(warnings) == 1
    assert len((root / ".work/spool/mlflow.jsonl").read_text().splitlines()) == len(ENTRIES)


def test_a_server_that_never_answers_is_found_out_before_mlflow_is_imported(root: Path) -> None:
    script = (
        "import socket, sys\n"
        "from pathlib import Path\n"
        "from tasks.tracking import Entry, MlflowTracker, uri\n"
        "uri.ANSWER = 0.2\n"
        "with socket.socket() as silent:\n"
        "    silent.bind(('127.0.0.1', 0))\n"
        "    silent.listen()\n"
        "    try:\n"
        "        tracker = MlflowTracker(Path('.'), f'http://127.0.0.1:{silent.getsockname()[1]}', 'hone')\n"
        "        tracker.log(Entry(key='k', kind='pipeline', name='n'))\n"
        "    except TimeoutError:\n"
        "        print('mlflow' in sys.modules)\n"
    )
    assert run_python(script, root).stdout == "False\n"


def test_a_database_locked_for_longer_than_patience_gets_its_entries_next_time(root: Path) -> None:
    log_all(MlflowTracker(root, None, "hone"), (PIPELINE,))
    other = sqlite3.connect(root / "mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    script = (
        "from pathlib import Path; from tasks.tracking import *\n"
        "t = SpoolingTracker(MlflowTracker(Path('.'), None, 'hone'), Path('.work/spool/mlflow.jsonl'),"
        " name='mlflow', warn=print, patience=0.5)\n"
        "for i in range(3): t.log(Entry(key=f'abc/s/{i}', kind='trial', name='n', parent='abc/s', status='finished'))\n"
        "t.close()"
    )
    done = run_python(script, root)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    assert set(runs_of(root)) == {"abc"}
    other.execute("ROLLBACK")
    other.close()
    spooling(root, None, []).close()
    assert set(runs_of(root)) == {"abc", "abc/s", "abc/s/0", "abc/s/1", "abc/s/2"}


def test_an_entry_that_mlflow_refuses_is_left_out_and_holds_up_no_other(root: Path) -> None:
    warnings: list[str] = []
    refused = replace(PIPELINE, key="bad", at=-1.0)
    log_all(spooling(root, None, warnings), (refused, PIPELINE, replace(PIPELINE, key="gone", files=("no/such",))))
    assert len(warnings) == 1
    assert "bad" in warnings[0]
    assert "abc" in runs_of(root)
    assert not (root / ".work/spool/mlflow.jsonl").exists()


class Slow(Tracker):
    """Takes an entry in `seconds` and remembers it."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.names: list[str] = []

    def log(self, entry: Entry) -> None:
        time.sleep(self.seconds)
        self.names.append(entry.name)

    def close(self) -> None: ...


def named(name: str) -> Entry:
    return Entry(key=name, kind="pipeline", name=name)


def test_logging_does_not_wait_and_closing_waits_no_longer_than_its_patience(tmp_path: Path) -> None:
    slow, warnings = Slow(60), []
    tracker = SpoolingTracker(slow, tmp_path / "s.jsonl", name="slow", warn=warnings.append, patience=0.2)
    start = time.monotonic()
    log_all(tracker, tuple(named(str(i)) for i in range(100)))
    assert time.monotonic() - start < 5
    assert len(warnings) == 1
    assert len((tmp_path / "s.jsonl").read_text().splitlines()) == 100


def test_closing_drains_what_is_queued_in_order(tmp_path: Path) -> None:
    slow = Slow(0.001)
    log_all(SpoolingTracker(slow, tmp_path / "s.jsonl", name="slow"), tuple(named(str(i)) for i in range(50)))
    assert slow.names == [str(i) for i in range(50)]
    assert not (tmp_path / "s.jsonl").exists()


def test_a_torn_line_in_the_spool_is_left_out(tmp_path: Path) -> None:
    file, slow = tmp_path / "s.jsonl", Slow(60)
    log_all(SpoolingTracker(slow, file, name="slow", patience=0), (named("a"), named("b")))
    file.write_text(file.read_text() + '{"key": "c", "ki')
    log_all(SpoolingTracker(Slow(60), file, name="slow", patience=0), (named("d"),))
    fast = Slow(0)
    SpoolingTracker(fast, file, name="fast").close()
    assert fast.names == ["a", "b", "d"]


def test_a_damaged_line_in_the_spool_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    log_all(SpoolingTracker(Slow(60), file, name="slow", patience=0), (named("abc"), named("def")))
    file.write_bytes(file.read_bytes().replace(b'"abc"', b'"abd"'))  # in quotes: a digest may hold abc, too
    fast, said = Slow(0), list[str]()
    SpoolingTracker(fast, file, name="fast", warn=said.append).close()
    assert fast.names == ["def"]
    assert said == ["tracking with fast: 1 lines of its spool are torn or damaged, and left out"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_spool_on_a_full_disk_costs_no_entry_and_stops_nobody(tmp_path: Path) -> None:
    file, slow, warnings = tmp_path / "s.jsonl", Slow(0.2), []
    tracker = SpoolingTracker(slow, file, name="slow", warn=warnings.append)
    file.symlink_to("/dev/full")  # not before: reading it has no end
    log_all(tracker, (named("a"), named("b")))
    assert slow.names == ["a", "b"]
    assert len(warnings) == 1


class Full(Tracker):
    """Takes nothing."""

    def log(self, entry: Entry) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None: ...


def test_entries_that_are_neither_written_nor_sent_are_not_secure(tmp_path: Path) -> None:
    warnings: list[str] = []
    file = tmp_path / "spool" / "s.jsonl"
    (tmp_path / "spool").write_text("")  # no folder: no file in it can be written
    full = SpoolingTracker(Full(), file, name="full", warn=warnings.append, patience=5)
    full.log(named("a"))
    with pytest.raises(OSError, match="spool"):
        Fanout([NullTracker(), WithoutTrials(full)]).secure()
    (tmp_path / "spool").unlink()  # there is room again
    full.secure()
    assert len(file.read_text().splitlines()) == 1
    full.close()

    (tmp_path / "spool2").write_text("")
    sent = SpoolingTracker(Slow(0.1), tmp_path / "spool2" / "s.jsonl", name="slow", warn=warnings.append)
    sent.log(named("b"))
    sent.secure()  # by being sent
    assert sent.down == frozenset()
    sent.close()


def test_a_spool_that_cannot_be_written_costs_no_entry(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    slow, warnings = Slow(0), []
    tracker = SpoolingTracker(slow, tmp_path / "file" / "s.jsonl", name="slow", warn=warnings.append)
    log_all(tracker, (named("a"), named("b")))
    assert slow.names == ["a", "b"]
    assert len(warnings) == 1


def test_an_entry_comes_back_from_json_as_it_was() -> None:
    for entry in (*ENTRIES, ABOUT):
        assert Entry.from_json(json.loads(json.dumps(entry.to_json()))) == entry


def test_an_entry_that_a_former_version_left_in_the_spool_is_sent() -> None:
    new = ("facts", "datasets", "views")
    content = {name: value for name, value in PIPELINE.to_json().items() if name not in new}
    assert Entry.from_json(json.loads(json.dumps(content))) == PIPELINE


def points_in(folder: Path) -> list[tuple[str, int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    tags = events.Tags()["scalars"]
    return [(tag, point.step, round(point.value, 6)) for tag in tags for point in events.Scalars(tag)]


def test_tensorboard_reads_back_each_point_once_however_often_it_was_logged(tmp_path: Path) -> None:
    for _ in range(2):
        log_all(TensorBoardTracker(tmp_path))
    assert points_in(tmp_path / "abc") == [("best_so_far", 0, 0.5), ("best_so_far", 1, 0.7)]
    assert points_in(tmp_path / "abc/search_random/1") == [("accuracy", 1, 0.5), ("accuracy", 2, 0.6)]


def test_a_torn_event_file_hides_no_later_point(tmp_path: Path) -> None:
    log_all(TensorBoardTracker(tmp_path), (PIPELINE,))
    (file,) = (tmp_path / "abc").glob("events*")
    file.write_bytes(file.read_bytes() + b"\x18\x00\x00")
    log_all(TensorBoardTracker(tmp_path), (DONE,))
    assert points_in(tmp_path / "abc") == [("best_so_far", 0, 0.5), ("best_so_far", 1, 0.7)]


def test_tensorboard_has_each_fact_of_every_entry_once(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    later = replace(PIPELINE, facts={"hone.outs.split": {"rows": "1"}}, status="finished")
    for _ in range(2):
        log_all(TensorBoardTracker(tmp_path), (replace(PIPELINE, facts={"hone.data_hash": "d"}), later))
    events = EventAccumulator(str(tmp_path / "abc")).Reload()
    facts = {
        tag: [text.tensor_proto.string_val[0].decode() for text in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
        if tag.startswith("provenance/")
    }
    assert facts == {
        "provenance/hone.data_hash/text_summary": ["d"],
        "provenance/hone.outs.split/text_summary": ['{"rows": "1"}'],
    }


def test_facts_are_in_the_config_of_a_run_in_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config: dict[str, str] = {}
    run = SimpleNamespace(
        config=SimpleNamespace(update=lambda values, _: config.update(values)),
        summary={},
        define_metric=lambda *_, **__: None,
        log=lambda _: None,
        finish=lambda **_: None,
    )
    wandb = ModuleType("wandb")
    wandb.__spec__ = ModuleSpec("wandb", None)
    vars(wandb).update(init=lambda **_: run, Settings=lambda **_: None)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    facts = {"hone.data_hash": "d", "hone.outs.split": {"rows": "1"}}
    log_all(WandbTracker("mine", tmp_path), (replace(PIPELINE, facts=facts),))
    assert config == {
        "seed": "0",
        "tags/git_commit": "123",
        "tags/hone.data_hash": "d",
        "tags/hone.outs.split": '{"rows": "1"}',
    }


def test_a_missing_wandb_is_named_with_its_extra(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tracking\.wandb: 'mine' .*hone-tuning\[wandb\]"):
        open_tracker(tmp_path, Tracking(wandb="mine"))
    with pytest.raises(UserError, match="or leave it empty"):
        WandbTracker("mine", tmp_path)


def test_a_tracker_that_does_not_close_keeps_no_other_open(tmp_path: Path) -> None:
    class Broken(Slow):
        def close(self) -> None:
            raise OSError("no")

    class Closing(Slow):
        closed = False

        def close(self) -> None:
            self.closed = True

    closing = (Closing(0), Closing(0))
    with pytest.raises(OSError, match="no"):
        Fanout((closing[0], Broken(0), closing[1])).close()
    assert all(tracker.closed for tracker in closing)


def test_trials_are_left_out_where_params_say_so(root: Path) -> None:
    log_all(open_tracker(root, Tracking(trials=False)))
    assert set(runs_of(root)) == {"abc", "abc/search_random"}


def test_tracking_can_be_switched_off(tmp_path: Path) -> None:
    tracker = open_tracker(tmp_path, Tracking(uri="none"))
    assert isinstance(tracker, NullTracker)
    log_all(tracker)
    assert list(tmp_path.iterdir()) == []


def test_importing_tracking_imports_no_tracking_library() -> None:
    script = (
        "import sys, tasks.tracking as t; t.NullTracker().close()\n"
        "assert not {'mlflow', 'torch', 'tensorboard', 'pandas', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=REPOSITORY)


@pytest.mark.parametrize(
    ("uri", "resolved"),
    [
        (None, "sqlite:///{root}/mlflow.db"),
        ("sqlite:///runs/m.db", "sqlite:///{root}/runs/m.db"),
        ("sqlite:////srv/m.db", "sqlite:////srv/m.db"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000"),
        ("https://mlflow.example.org", "https://mlflow.example.org"),
        ("databricks", "databricks"),
    ],
)
def test_a_uri_does_not_depend_on_the_working_directory(tmp_path: Path, uri: str | None, resolved: str) -> None:
    assert resolve(tmp_path, uri) == resolved.format(root=tmp_path)


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("", "no scheme"),
        ("mlruns", "no scheme"),
        ("sqlite:mlflow.db", "no scheme"),
        ("sqlite://mlflow.db", "no file"),
        ("sqlite:///", "no file"),
        ("sqlite:///:memory:", "no file"),
        ("http://", "no host"),
        ("http://host:port", "its host or port is none"),
        ("file:///srv/mlruns", "unknown scheme 'file'"),
        ("postgres://u:secret@host/db", "did you mean postgresql"),
        ("htp://host", "did you mean http"),
        ("postgresql://u:secret@host/db", "psycopg2"),
        ("sqlite:///.", "a folder"),
    ],
)
def test_a_uri_that_cannot_work_is_named_with_a_remedy(tmp_path: Path, uri: str, named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        open_tracker(tmp_path, Tracking(uri=uri))
    assert str(caught.value).startswith("tracking.uri: ")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [
        *({"kind": "odd"}, {"key": 3}, {"status": None}, {"seconds": "x"}, {"metrics": [["m", 1.0, 2**70]]}),
        *({"facts": []}, {"views": {"a": 1}}, {"datasets": [{"name": "a", "digest": "b", "context": "odd"}]}),
        *({"datasets": [{"name": 1, "digest": "b", "context": "test"}]}, {"datasets": [{"no": 1}]}, {"datasets": 3}),
        *({"tags": {"a": 1}}, {"params": []}, {"at": float("inf")}, {"files": [None]}, {"metrics": [[1, 1.0, 0]]}),
    ],
)  # fmt: skip
def test_an_entry_that_no_tracker_could_take_is_none(changed: dict[str, object]) -> None:
    content = json.loads(json.dumps(PIPELINE.to_json()))
    assert Entry.from_json(content) == PIPELINE
    with pytest.raises((ValueError, TypeError, KeyError)):
        Entry.from_json({**content, **changed})
