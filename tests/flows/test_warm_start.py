"""`hone warm-start`: an earlier study becomes one to learn from, and nothing else changes."""

import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows import warm_start as command
from flows.warm_start import copy
from hone.errors import UserError
from hone.trial import Result, State, Trial
from tasks import trials, warm_start
from tasks.params import load_params, search_space
from tasks.reporting import NullReporter
from tasks.stage import Stage
from tasks.tracking import MlflowTracker
from tasks.tracking.mlflow import connect
from tasks.tracking.uri import resolve
from tests.flows.editing import HERE, change
from tests.flows.test_add import everything

CONFIGS = [{"learning_rate": 0.01 + 0.001 * i, "optimizer": "sgd", "momentum": 0.9, "batch_size": 64} for i in range(6)]


def study(name: str, n: int = 6) -> list[Result]:
    return [
        Result(
            trial=Trial(
                study=name, number=i, generation=i // 3, config=CONFIGS[i], resource=2, rows=0.5, origin="sobol"
            ),
            state=State.COMPLETE,
            objective=-0.5 - 0.01 * i,
            curve=(-0.4, -0.5 - 0.01 * i),
            best_epoch=2,
            cost=1.0,
        )
        for i in range(n)
    ]


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    folder = tmp_path / "houses" / "artifacts"
    for i, name in enumerate(warm_start.STAGES):
        trials.write(folder / name / "trials.parquet", study(name, 4 + i), "accuracy")
    trials.write(folder / "search_hyperband" / "replay.parquet", study("replay"), "accuracy")
    return folder


@pytest.mark.parametrize("source", ["houses", "houses/artifacts"])
def test_an_earlier_pipelines_trials_are_copied_and_named_and_the_rest_of_params_stays(
    source: str, project: Path, artifacts: Path, tmp_path: Path
) -> None:
    before = (project / "params.yaml").read_text().splitlines()
    place = copy(project, str(tmp_path / source), None)
    assert place == project / "data" / "warm_start" / "houses.parquet"
    assert trials.read(place) == [result for i, name in enumerate(warm_start.STAGES) for result in study(name, 4 + i)]
    params = load_params(project)
    assert params.search.warm_start == ["data/warm_start/houses.parquet"]
    after = (project / "params.yaml").read_text().splitlines()
    changed = [line for line in after if line not in before]
    assert [line.split("#")[0].rstrip() for line in changed] == ["  warm_start:", "  - data/warm_start/houses.parquet"]
    assert "#" in changed[0]  # the comment is still there
    assert len(after) == len(before) + 1


def test_copying_again_is_no_change_and_a_second_study_is_added(project: Path, artifacts: Path) -> None:
    copy(project, str(artifacts), None)
    before = everything(project)
    copy(project, str(artifacts), None)
    assert everything(project) == before
    copy(project, str(artifacts / "search_bayes" / "trials.parquet"), "bayes")
    assert load_params(project).search.warm_start == [f"data/warm_start/{name}.parquet" for name in ("houses", "bayes")]
    assert trials.read(project / "data" / "warm_start" / "bayes.parquet") == study("search_bayes", 5)


def test_what_mlflow_was_told_is_what_it_gives_back(project: Path) -> None:
    change(project, "uri: none ", "uri: null ")
    tracker = MlflowTracker(project, None, "hone")
    told = {name: study(name) for name in (*warm_start.STAGES, "replay")}
    odd = replace(
        told["search_bayes"][2].trial, config={**CONFIGS[2], "depth (layers)": 2}
    )  # no name that MLflow takes
    told["search_bayes"][2] = replace(told["search_bayes"][2], trial=odd)
    for name, results in told.items():
        stage = Stage(
            name="search_hyperband" if name == "replay" else name,
            root=project,
            params=load_params(project),
            fingerprint="f",
            pipeline="p",
            executor=None,  # type: ignore[arg-type]
            tracker=tracker,
            reporter=NullReporter(),
        )
        for result in reversed(results):
            tracker.log(stage._trial(result, "accuracy", results))
    tracker.close()
    client = connect(resolve(project, None))
    (experiment,) = [e for e in client.search_experiments() if e.name == "hone"]
    runs = {run.data.tags["hone.key"]: run.info.run_id for run in client.search_runs([experiment.experiment_id])}
    said = Said()
    place = copy(project, f"mlflow:{runs['p']}", "all", said)
    assert "copied 6 trials of search_random, 6 trials of search_bayes, 6 trials of search_hyperband" in said.lines[0]
    assert said.lines[1:] == [f"! mlflow:{runs['p']}: the run is running: what is not logged yet is not copied"]
    assert trials.read(place) == [result for name in warm_start.STAGES for result in told[name]]
    assert trials.read(copy(project, f"mlflow:{runs['p/search_bayes']}", "one")) == told["search_bayes"]
    for run in ("nothing", runs["p/search_bayes/search_bayes-0001"]):
        before = (project / "params.yaml").read_text()
        with pytest.raises(UserError, match=f"^mlflow:{run}: "):
            copy(project, f"mlflow:{run}", "none")
        assert (project / "params.yaml").read_text() == before


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [
        ("nowhere", None, r"nowhere: there is no search_random/trials\.parquet in it"),
        ("text.parquet", None, r"text\.parquet: not a table of trials"),
        ("table.parquet", None, r"table\.parquet: not a table of trials"),
        ("houses", "../away", r"^--name: '\.\./away' is no name for a table"),
        ("houses", "taken", r"^data/warm_start/taken\.parquet: holds other trials; .* --name"),
        ("elsewhere.parquet", None, r"none of its 1 trials is complete and within search\.space .*: depth\)"),
    ],
)
def test_a_source_that_cannot_be_used_leaves_everything_as_it_was(
    source: str, name: str | None, said: str, project: Path, artifacts: Path, tmp_path: Path
) -> None:
    (tmp_path / "text.parquet").write_text("no table")
    (artifacts / "search_random" / "space.json").write_text("{}")
    load_table(tmp_path / "table.parquet")
    other = Result(
        trial=Trial(study="s", number=0, generation=0, config={"depth": 3}, resource=1),
        state=State.COMPLETE,
        objective=0.5,
    )
    trials.write(tmp_path / "elsewhere.parquet", [other], "accuracy")
    trials.write(project / "data" / "warm_start" / "taken.parquet", study("s"), "accuracy")
    before = everything(project)
    with pytest.raises(UserError, match=said) as refusal:
        copy(project, str(tmp_path / source), name)
    assert "\n" not in str(refusal.value)
    assert everything(project) == before


def test_where_tracking_is_off_there_is_no_run_to_learn_from(project: Path) -> None:
    with pytest.raises(UserError, match=r"^mlflow:abc: tracking\.uri is none, so there are no runs"):
        copy(project, "mlflow:abc", None)


def test_asking_mlflow_makes_no_database(project: Path) -> None:
    change(project, "uri: none ", "uri: null ")
    with pytest.raises(UserError, match=r"^mlflow:abc: there is no database .*mlflow\.db; set tracking\.uri"):
        copy(project, "mlflow:abc", None)
    assert not (project / "mlflow.db").exists()


def load_table(path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"a": [1, 2]}).to_parquet(path)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("mlflow:0123456789abcdef", "01234567"),
        ("/elsewhere/houses", "houses"),
        ("/elsewhere/houses/artifacts", "houses"),
        ("/elsewhere/houses/artifacts/search_bayes/trials.parquet", "houses"),
        ("/elsewhere/last year.parquet", "last_year"),
        ("/elsewhere/houses-v1.2", "houses-v1.2"),
        ("/elsewhere/houses-v1.2.parquet", "houses-v1.2"),
        ("/elsewhere/_été", "t_"),
        ("/elsewhere/" + "x" * 200, "x" * 100),
        ("mlflow:../x", "x"),
        ("/", "earlier"),
    ],
)
def test_a_name_says_where_the_trials_come_from(source: str, name: str) -> None:
    assert command.derived(source) == name


def test_a_copy_that_holds_a_nan_is_no_other_study(project: Path, tmp_path: Path) -> None:
    diverged = replace(study("s")[0], state=State.DIVERGED, objective=math.inf, curve=(math.nan,))
    trials.write(tmp_path / "old.parquet", [*study("s")[1:], diverged], "accuracy")
    place = copy(project, str(tmp_path / "old.parquet"), None)
    before = everything(project)
    copy(project, str(tmp_path / "old.parquet"), None)
    assert everything(project) == before
    assert place.is_file()


def test_a_study_that_params_name_and_that_is_missing_is_copied_there(project: Path, artifacts: Path) -> None:
    change(project, "warm_start: []", "warm_start: [data/warm_start/houses.parquet]")
    with pytest.raises(UserError, match=r"no such file; `hone warm-start FOLDER` copies"):
        load_params(project)
    copy(project, str(artifacts), None)
    assert load_params(project).search.warm_start == ["data/warm_start/houses.parquet"]


def test_what_another_command_writes_to_params_in_between_stays(
    project: Path, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials.write(project / "data" / "warm_start" / "first.parquet", study("s"), "accuracy")
    lock = command.project.lock

    def waited(root: Path, who: str) -> object:
        change(project, "warm_start: []", "warm_start: [data/warm_start/first.parquet]")
        return lock(root, who)

    monkeypatch.setattr(command.project, "lock", waited)
    copy(project, str(artifacts), None)
    names = [f"data/warm_start/{name}.parquet" for name in ("first", "houses")]
    assert load_params(project).search.warm_start == names


@pytest.mark.parametrize("content", ["garbage", None])
def test_what_is_in_the_copys_place_and_no_table_stays(content: str | None, project: Path, artifacts: Path) -> None:
    place = project / "data" / "warm_start" / "houses.parquet"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(content) if content else place.mkdir()
    with pytest.raises(UserError, match=r"^data/warm_start/houses\.parquet: is there and no table of trials; remove"):
        copy(project, str(artifacts), None)
    assert place.exists()


def test_tables_that_differ_in_a_column_of_no_concern_are_one_study(project: Path, artifacts: Path) -> None:
    table = artifacts / "search_bayes" / "trials.parquet"
    pq.write_table(pq.read_table(table).append_column("mine", pa.array(["x"] * 5)), table)
    assert len(trials.read(copy(project, str(artifacts), None))) == 15
    pq.write_table(pq.read_table(table).drop_columns(["cost"]), table)
    with pytest.raises(
        UserError, match=r"search_bayes/trials\.parquet: not a table of trials \(0 columns are named cost"
    ):
        copy(project, str(artifacts), "again")


class Said(NullReporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, text: str) -> None:
        self.lines.append(text)

    def warning(self, text: str) -> None:
        self.lines.append(f"! {text}")


def test_what_is_copied_and_what_is_missing_is_said(project: Path, artifacts: Path) -> None:
    said = Said()
    copy(project, str(artifacts), None, said)
    copied = "copied 4 trials of search_random, 5 trials of search_bayes"
    assert said.lines == [f"{artifacts}: {copied}, 6 trials of search_hyperband"]
    (artifacts / "search_hyperband" / "trials.parquet").unlink()
    copy(project, str(artifacts), "part", said)
    assert said.lines[1:] == [f"{artifacts}: {copied}", f"! {artifacts}: it has no trials of search_hyperband"]


# What params may name


def damaged(folder: Path, **columns: object) -> Path:
    """Write a study whose second trial has other values in some columns; an array is the whole column."""
    table = trials.table(study("s"), "accuracy")
    for name, value in columns.items():
        column = value
        if not isinstance(value, pa.Array):
            column = pa.array([*table[name].to_pylist()[:1], value, *table[name].to_pylist()[2:]], table[name].type)
        table = table.set_column(table.column_names.index(name), name, column)
    (folder / "data" / "warm_start").mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / "data" / "warm_start" / "odd.parquet")
    return folder / "data" / "warm_start" / "odd.parquet"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"config": "null"}, r"row 2: config null is no JSON object"),
        ({"config": "[1, 2]"}, r"row 2: config \[1, 2\] is no JSON object"),
        ({"config": '"abc"'}, r"row 2: config \"abc\" is no JSON object"),
        ({"config": '{"a": {"b": 1}}'}, r"row 2: config .* is no JSON object of numbers"),
        ({"config": '{"learning_rate": NaN}'}, r"row 2: config .* is no JSON object of numbers"),
        ({"config": '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"}, r"row 2: its JSON is nested too deeply"),
        ({"config": f'{{"learning_rate": {"9" * 400}}}'}, r"row 2: config .* is no JSON object of numbers"),
        ({"metrics": "3"}, r"row 2: metrics 3 is no JSON object"),
        ({"objective": None}, r"row 2: objective is null"),
        ({"objective": math.inf}, r"row 2: objective inf of a complete trial is not finite"),
        ({"objective": pa.array(["x"] * 6)}, r"column objective is of type string and not double"),
        ({"resource": None}, r"row 2: resource is null"),
        ({"resource": 0}, r"row 2: resource 0 is below 1"),
        ({"resource": pa.array([1.5] * 6)}, r"column resource is of type double and not int64"),
        ({"rows": 0.0}, r"row 2: rows 0 is not above 0"),
        ({"rows": math.nan}, r"row 2: rows nan is not above 0"),
        ({"rows": pa.array(["x"] * 6)}, r"column rows is of type string and not double"),
        ({"state": "resting"}, r"row 2: 'resting' is not a valid State"),
        ({"curve": [None]}, r"row 2: curve holds a null"),
    ],
)
def test_a_table_that_no_stage_can_have_written_is_refused(columns: dict, said: str, tmp_path: Path) -> None:
    path = damaged(tmp_path, **columns)
    with pytest.raises(UserError, match=rf"^odd: not a table of trials \({said}") as refusal:
        warm_start.read(path, "odd")
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "data/warm_start/nothing.parquet",
            r"^search\.warm_start: .*nothing\.parquet: there is no such file; there are data/warm_start/broken",
        ),
        ("data/warm_start/broken.parquet", r"^search\.warm_start: .*broken\.parquet: not a table of trials"),
        ("mlflow:1234", r"^params\.yaml: search\.warm_start: 'mlflow:1234' must be a table in data/warm_start/.*`hone"),
        ("artifacts/search_random/trials.parquet", r"'artifacts/search_random/trials\.parquet' must be a table in"),
        (f"data/warm_start/{'x' * 300}.parquet", r"is too long for a path; a name has at most 255 bytes"),
        ("data/warm_start/a.parquet, data//warm_start/./a.parquet", r"names data/warm_start/a\.parquet twice; take"),
        ("data/warm_start/../x.parquet", r"must be a table in data/warm_start/"),
        ("data/warm_start/far.parquet", r"none of its 6 trials is complete and within search\.space"),
    ],
)
def test_params_that_name_what_cannot_be_used_are_refused(source: str, said: str, project: Path) -> None:
    folder = project / "data" / "warm_start"
    trials.write(folder / "far.parquet", study("s"), "accuracy")
    (folder / "broken.parquet").write_text("no table")
    change(project, "warm_start: []", f"warm_start: [{source}]")
    change(project, "  space: {} ", "  space: {learning_rate: 0.05} ")
    with pytest.raises(UserError, match=said) as refusal:
        load_params(project)
    assert "\n" not in str(refusal.value)


def test_a_study_counts_by_what_lies_in_todays_space(project: Path) -> None:
    trials.write(project / "data" / "warm_start" / "near.parquet", study("s"), "accuracy")
    change(project, "warm_start: []", "warm_start: [data/warm_start/near.parquet]")
    change(project, "  space: {} ", "  space: {learning_rate: {type: float, low: 0.0115, high: 0.1, log: true}} ")
    params = load_params(project)
    (found,) = warm_start.studies(project, params.search.warm_start, search_space(params))
    assert [result.trial.number for result in found.results] == [2, 3, 4, 5]
    assert HERE.joinpath("data", "warm_start").is_dir()  # a stage depends on it, so it is there without any study too
