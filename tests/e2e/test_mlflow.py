"""MLflow shows one pipeline as one run with its stages and all trials, and serves the model that was evaluated."""

import json
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from tasks import model_store, pipeline, record, run_page, trials, wording
from tasks.tracking.mlflow import FACTS

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def project(by_flow):
    return by_flow


@pytest.fixture(scope="module")
def client(project):
    return MlflowClient(f"sqlite:///{project.root}/mlflow.db")


@pytest.fixture(scope="module")
def runs(client):
    (experiment,) = [each for each in client.search_experiments() if each.name == "hone"]
    return client.search_runs([experiment.experiment_id], max_results=1000)


def children(runs, parent):
    return [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]


def test_a_run_is_one_parent_with_its_stages_and_all_trials(project, runs):
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    stages = {run.info.run_name: run for run in children(runs, parent)}
    assert set(stages) == set(pipeline.specs(project.root))
    assert {run.info.status for run in [parent, *stages.values()]} == {"FINISHED"}
    for name in ("search_random", "search_bayes", "search_hyperband"):
        folder = project.root / "artifacts" / name
        expected = trials.read(folder / "trials.parquet")
        if name == "search_hyperband":
            expected += trials.read(folder / "replay.parquet")
        found = children(runs, stages[name])
        assert sorted(run.data.tags["hone.key"].rpartition("/")[2] for run in found) == sorted(
            result.trial.key for result in expected
        )
        names = [run.info.run_name for run in found]
        assert len(set(names)) == len(names)
        assert {name.split()[0] for name in names} <= {name.removeprefix("search_"), "replay:"}


def test_best_so_far_is_a_rising_curve_on_the_parent(project, runs, client):
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    points = sorted(client.get_metric_history(parent.info.run_id, "best_accuracy"), key=lambda point: point.step)
    values = [point.value for point in points]
    n_trials = sum(
        len(trials.read(project.root / "artifacts" / name))
        for name in (
            "search_random/trials.parquet",
            "search_bayes/trials.parquet",
            "search_hyperband/trials.parquet",
            "search_hyperband/replay.parquet",
        )
    )
    assert len(points) == n_trials
    assert values == sorted(values)
    assert values[-1] > values[0]


def test_a_run_says_where_it_comes_from(project, runs, client, tmp_path):
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    tags = parent.data.tags
    facts = json.loads(Path(client.download_artifacts(parent.info.run_id, FACTS, str(tmp_path))).read_text())
    for name in ("hone.data_hash", "hone.params_hash", "hone.lock_hash"):
        assert len(facts[name]) == 64
        assert name not in tags
    outs = {name.removeprefix("hone.outs."): hashes for name, hashes in facts.items() if name.startswith("hone.outs.")}
    assert outs == {
        name: {out: record.md5(project.root / out) for out in spec.outs}
        for name, spec in pipeline.specs(project.root).items()
    }
    assert len(tags["hone.git_commit"]) == 40
    assert tags["hone.git_dirty"] == "false"
    assert (tags["mlflow.source.name"], tags["mlflow.user"]) == ("hone tune", run_page.who(project.root)["mlflow.user"])
    assert parent.data.params["search.hyperband.entrants"] == "2"


def test_a_run_shows_what_the_sealed_rows_say_and_which_rows_were_used(project, runs):
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    found = json.loads((project.root / "artifacts/evaluate/metrics.json").read_text())
    shown = parent.data.metrics
    assert {name: shown[name] for name in found if name != "rivals"} == {
        k: v for k, v in found.items() if k != "rivals"
    }
    assert {name: shown[f"rivals.{name}"] for name in found["rivals"]} == found["rivals"]
    whole = json.loads((project.root / "artifacts/evaluate/evaluation.json").read_text())
    note, tags = parent.data.tags["mlflow.note.content"], parent.data.tags
    assert note.startswith(f"**{whole['findings'][0]['message'].split(':')[0]}")
    assert f"| 36 sealed test rows | defaults | {wording.delivered(whole)} | gain |" in note
    for name in json.loads((project.root / "artifacts/search_hyperband/winner.json").read_text())["config"]:
        assert f"| `{name}` |" in note
    assert tags["hone.metric"] == "accuracy"
    used = {each.tags[0].value: each.dataset for each in parent.inputs.dataset_inputs}
    assert set(used) == {"training", "validation", "test"}
    for context, path in run_page.ROWS:
        digest = pipeline.hash_path(project.root / run_page.SPLIT / path)
        assert digest.startswith(used[context].digest)
        n_rows = len(pd.read_parquet(project.root / run_page.SPLIT / path))
        assert json.loads(used[context].profile)["num_rows"] == n_rows


def test_a_trial_has_its_training_loss_for_each_epoch_of_its_curve(runs, client):
    finished = [run for run in runs if run.data.tags["hone.kind"] == "trial" and run.info.status == "FINISHED"]
    for run in finished[:5]:
        steps = {
            name: [point.step for point in client.get_metric_history(run.info.run_id, name)]
            for name in ("accuracy", "train_loss")
        }
        assert steps["train_loss"] == steps["accuracy"]


def test_a_trial_shows_its_best_value_in_the_metrics_own_sign(project, runs):
    expected = {
        result.trial.key: result.objective
        for name in ("search_random", "search_bayes", "search_hyperband")
        for result in trials.read(project.root / "artifacts" / name / "trials.parquet")
    }
    shown = {
        run.data.tags["hone.key"].rpartition("/")[2]: run.data.metrics
        for run in runs
        if run.data.tags["hone.kind"] == "trial"
    }
    assert {key: -found["best_accuracy"] for key, found in shown.items() if key in expected} == expected
    assert not any("objective" in found for found in shown.values())


def test_the_registered_model_predicts_as_the_pipeline_did(project, client, tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{project.root}/mlflow.db")
    version = client.get_model_version_by_alias("hone", "champion")
    loaded = mlflow.pyfunc.load_model(client.get_model_version_download_uri("hone", version.version))
    rows = pd.read_parquet(project.root / "data/split/sealed/test.parquet").drop(columns="target")
    own = model_store.load(project.root / "artifacts/retrain/model").predict(rows)
    served = loaded.predict(rows)
    pd.testing.assert_frame_equal(served.reset_index(drop=True), own.reset_index(drop=True), check_exact=True)
    kept = pd.read_parquet(project.root / "artifacts/evaluate/predictions.parquet")
    assert len(kept) == len(rows)
    rows.iloc[0, :] = None
    assert loaded.predict(rows)["prediction"].notna().all()


def test_a_file_is_predicted_as_the_registered_model_predicts_it(project, client, tmp_path):
    mlflow.set_tracking_uri(f"sqlite:///{project.root}/mlflow.db")
    version = client.get_model_version_by_alias("hone", "champion")
    loaded = mlflow.pyfunc.load_model(client.get_model_version_download_uri("hone", version.version))
    rows = pd.read_parquet(project.root / "data/split/sealed/test.parquet").drop(columns="target")
    rows.to_csv(tmp_path / "rows.csv", index=False)
    for number, model in enumerate(("models:/hone@champion", "artifacts/retrain/model")):
        out = tmp_path / f"{number}.parquet"
        project.run("python", "-m", "flows.predict", str(tmp_path / "rows.csv"), "--out", str(out), "--model", model)
        expected = loaded.predict(pd.read_csv(tmp_path / "rows.csv"))
        pd.testing.assert_frame_equal(pd.read_parquet(out), expected, check_exact=True)


def test_running_again_adds_nothing(project, runs, client):
    before = {run.info.run_id for run in runs}
    project.stages("search_bayes", "evaluate")
    (experiment,) = [each for each in client.search_experiments() if each.name == "hone"]
    after = {run.info.run_id for run in client.search_runs([experiment.experiment_id], max_results=1000)}
    assert after == before
    assert len(client.search_model_versions("name = 'hone'")) == 1


@pytest.mark.parametrize("stage", [None, "report"])
def test_the_report_is_kept_with_the_runs(runs, client, stage):
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    (report,) = [run for run in children(runs, parent) if run.info.run_name == stage] or [parent]
    found, waiting = [], [""]
    while waiting:
        for item in client.list_artifacts(report.info.run_id, waiting.pop()):
            (waiting if item.is_dir else found).append(item.path)
    assert any(path.endswith("report.html") for path in found), json.dumps(found)
