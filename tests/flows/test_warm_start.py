"""`hone warm-start`: an earlier study becomes one to learn from, and nothing else changes."""

from pathlib import Path

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
            tracker.log(stage._trial(result, "accuracy"))
    tracker.close()
    client = connect(resolve(project, None))
    (experiment,) = [e for e in client.search_experiments() if e.name == "hone"]
    runs = {run.data.tags["hone.key"]: run.info.run_id for run in client.search_runs([experiment.experiment_id])}
    place = copy(project, f"mlflow:{runs['p']}", "all")
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
        ("houses", "../away", r"^--name: '\.\./away' is no file name"),
        ("houses", "taken", r"^--name: taken: data/warm_start/taken\.parquet holds other trials"),
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
        trial=Trial(study="s", number=0, generation=0, config={"depth": 3}, resource=1), state=State.COMPLETE
    )
    trials.write(tmp_path / "elsewhere.parquet", [other], "accuracy")
    trials.write(project / "data" / "warm_start" / "taken.parquet", study("s"), "accuracy")
    before = everything(project)
    with pytest.raises(UserError, match=said) as refusal:
        copy(project, str(tmp_path / source), name)
    assert "\n" not in str(refusal.value)
    assert everything(project) == before


def load_table(path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"a": [1, 2]}).to_parquet(path)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("mlflow:0123456789abcdef", "01234567"),
        ("/home/me/houses", "houses"),
        ("/home/me/houses/artifacts", "houses"),
        ("/home/me/houses/artifacts/search_bayes/trials.parquet", "houses"),
        ("/home/me/last year.parquet", "last_year"),
    ],
)
def test_a_name_says_where_the_trials_come_from(source: str, name: str) -> None:
    assert command.derived(source) == name


# What params may name


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "data/warm_start/nothing.parquet",
            r"^search\.warm_start: .*nothing\.parquet: there is no such file; there are",
        ),
        ("data/warm_start/broken.parquet", r"^search\.warm_start: .*broken\.parquet: not a table of trials"),
        ("mlflow:1234", r"^params\.yaml: search\.warm_start: 'mlflow:1234' must be a table in data/warm_start/.*`hone"),
        ("artifacts/search_random/trials.parquet", r"'artifacts/search_random/trials\.parquet' must be a table in"),
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
