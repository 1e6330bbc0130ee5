"""Running a stage: what is told to the tracker, and what is not."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from tasks import run
from tasks.params import Params
from tasks.reporting import NullReporter
from tasks.tracking import MlflowTracker
from tasks.tracking.mlflow import connect
from tasks.tracking.uri import resolve

DVC = """
stages:
  ingest:
    cmd: python -m tasks.run ingest
    params: [data.source]
    outs: [data/raw/ingested]
"""


def test_a_password_in_the_tracking_uri_is_not_among_a_runs_params(tmp_path: Path) -> None:
    content = Params().model_dump(mode="json")
    content["data"]["source"] = "sklearn:digits"
    content["tracking"]["uri"] = "postgresql://me:hunter2@host/name"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    (tmp_path / "dvc.yaml").write_text(DVC)
    tracker = MlflowTracker(tmp_path, None, "hone")
    with ThreadPoolExecutor(1) as executor:
        run.run_stage(tmp_path, "ingest", reporter=NullReporter(), tracker=tracker, executor=executor)
    tracker.close()
    client = connect(resolve(tmp_path, None))
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(ids)
    params = [run.data.params for run in runs if run.data.params]
    assert params
    for found in params:
        assert found["data.source"] == "sklearn:digits"
        assert not [name for name in found if name.startswith(("tracking.", "execution.", "schedule."))]
    assert "hunter2" not in str([run.to_dictionary() for run in runs])
