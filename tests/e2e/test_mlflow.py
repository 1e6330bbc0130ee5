"""MLflow shows one pipeline as one run with its stages and all trials, and serves the model that was evaluated."""

import json

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from tasks import model_store, pipeline, trials

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
        assert sorted(run.info.run_name for run in children(runs, stages[name])) == sorted(
            result.trial.key for result in expected
        )


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


def test_a_run_says_where_it_comes_from(runs):
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    tags = parent.data.tags
    for name in ("hone.data_hash", "hone.params_hash", "hone.lock_hash"):
        assert len(tags[name]) == 64
    assert len(tags["hone.git_commit"]) == 40
    assert tags["hone.git_dirty"] == "false"
    assert parent.data.params["search.hyperband.entrants"] == "2"


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
    for stage in ("search_bayes", "evaluate"):
        project.run("python", "-m", "tasks.run", stage)
    (experiment,) = [each for each in client.search_experiments() if each.name == "hone"]
    after = {run.info.run_id for run in client.search_runs([experiment.experiment_id], max_results=1000)}
    assert after == before
    assert len(client.search_model_versions("name = 'hone'")) == 1


def test_the_report_is_kept_with_the_runs(runs, client):
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    (report,) = [run for run in children(runs, parent) if run.info.run_name == "report"]
    found, waiting = [], [""]
    while waiting:
        for item in client.list_artifacts(report.info.run_id, waiting.pop()):
            (waiting if item.is_dir else found).append(item.path)
    assert any(path.endswith("report.html") for path in found), json.dumps(found)
