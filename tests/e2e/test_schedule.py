"""A served schedule: nothing to do when nothing has changed, a new tuning when a row was added."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient

pytestmark = pytest.mark.e2e
FIRING = "*/1 * * * *"


def wait_for(condition, what: str, seconds: float):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.5)


def pipelines(project):
    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()], max_results=1000)
    return [run for run in runs if run.data.tags.get("hone.kind") == "pipeline"]


def tracked_by(project) -> str:
    outs = yaml.safe_load((project.root / "data/raw/table.csv.dvc").read_text())["outs"]
    return json.dumps({"data/raw/table.csv.dvc": outs})


def test_a_schedule_fires_once_in_vain_and_once_for_a_new_row(make_project):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 3)), columns=["a", "b", "c"])
    table["y"] = np.where(table["a"] + table["b"] > 0, "up", "down")
    project = make_project(
        {"data.source": "data/raw/table.csv", "data.target": "y", "schedule.cron": FIRING}, table, name="served"
    )
    project.flow()
    before = project.hashes()

    environment = {**project.environment, "PREFECT_HOME": str(project.root / ".prefect"), "PYTHONUNBUFFERED": "1"}
    log = project.root / ".work" / "serve.log"
    with log.open("wb") as output:
        served = subprocess.Popen(
            ["python", "-m", "flows.serve"],
            cwd=project.root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_for(lambda: "nothing to do" in log.read_text(), "a run with nothing to do", 240)
            assert project.hashes() == before
            row = table.iloc[[0]].assign(a=9.0, b=9.0)
            row.to_csv(project.root / "data/raw/table.csv", mode="a", header=False, index=False)
            wait_for(lambda: "report: done" in log.read_text(), "a new tuning", 300)
            # Only once it is committed: a kill in the midst of that can leave DVC an empty lock file.
            wait_for(lambda: "up to date" in project.run("dvc", "status", check=False).stdout, "a true dvc.lock", 120)
            assert project.hashes()["data/split/train.parquet"] != before["data/split/train.parquet"]
            # That night's run says which version of the table it had, and counts as committed.
            (tonight,) = (run for run in pipelines(project) if run.data.tags["hone.data"] == tracked_by(project))
            assert {run.data.tags["hone.git_dirty"] for run in pipelines(project)} == {"false"}
        finally:
            os.killpg(served.pid, signal.SIGTERM)
            try:
                served.wait(30)
            finally:
                if served.poll() is None:
                    os.killpg(served.pid, signal.SIGKILL)
    text = log.read_text()
    assert "Traceback" not in text, text[-3000:]
    assert "equal to the bit" in project.run("python", "-m", "flows.reproduce", tonight.info.run_id).stdout
