"""A served schedule: nothing to do when nothing has changed, a new tuning when a row was added."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.tracking import MlflowClient

from tasks.tracking.logged import read_run
from tests.e2e.conftest import Project
from tests.e2e.test_every_family import QUICK

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


@dataclass(frozen=True)
class Served:
    """A finished project that is served on a schedule. before: hashes of its outs. log: what `hone serve` prints."""

    project: Project
    table: pd.DataFrame
    before: dict[str, str]
    log: Path


@pytest.fixture(scope="module")
def served(make_project):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(120, 3)), columns=["a", "b", "c"])
    table["y"] = np.where(table["a"] + table["b"] > 0, "up", "down")
    project = make_project({**QUICK, "data.target": "y", "schedule.cron": FIRING}, table, name="served")
    project.flow()
    before = project.hashes()
    environment = {**project.environment, "PREFECT_HOME": str(project.root / ".prefect"), "PYTHONUNBUFFERED": "1"}
    log = project.root / ".work" / "serve.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["python", "-m", "flows.serve"],
            cwd=project.root,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield Served(project, table, before, log)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in log.read_text(), log.read_text()[-3000:]


@pytest.fixture(scope="module")
def tuned_again(served):
    """The served project, after a run with nothing to do and one for a row that was added."""
    project, log = served.project, served.log
    wait_for(lambda: "nothing to do" in log.read_text(), "a run with nothing to do", 240)
    assert project.hashes() == served.before
    row = served.table.iloc[[0]].assign(a=9.0, b=9.0)
    row.to_csv(project.root / "data/raw/table.csv", mode="a", header=False, index=False)
    wait_for(lambda: "report: done" in log.read_text(), "a new tuning", 300)
    return served


def test_a_schedule_fires_once_in_vain_and_once_for_a_new_row(tuned_again):
    project, before = tuned_again.project, tuned_again.before
    # Only once it is committed: a kill in the midst of that can leave DVC an empty lock file.
    wait_for(lambda: "up to date" in project.run("dvc", "status", check=False).stdout, "a true dvc.lock", 120)
    assert project.hashes()["data/split/train.parquet"] != before["data/split/train.parquet"]
    # That night's run says which version of the table it had, and counts as committed.
    (tonight,) = (
        run
        for run in pipelines(project)
        if read_run(project.root, None, run.info.run_id).tags["hone.data"] == tracked_by(project)
    )
    assert {run.data.tags["hone.git_dirty"] for run in pipelines(project)} == {"false"}
    again = project.run("python", "-m", "flows.reproduce", tonight.info.run_id, "--until", "split")
    assert "equal to the bit" in again.stdout


def test_prefects_pages_show_what_a_run_said_and_what_came_of_it(tuned_again, open_page):
    address = re.search(r"http://127.0.0.1:\d+", tuned_again.log.read_text()).group()
    wait_for(lambda: named(address, "Completed"), "the end of a tuning", 300)
    (tuned,) = named(address, "Completed")
    commit = tuned_again.project.git("rev-parse", "--short", "HEAD").strip()
    assert tuned["name"] == f"table.csv {commit}"

    page = open_page(f"{address}/runs/flow-run/{tuned['id']}")
    page.get_by_text("split: started").first.wait_for()
    page.get_by_text("search_random: generation 1").first.wait_for()

    page = open_page(f"{address}/artifacts/key/result")
    page.get_by_text("result", exact=True).first.wait_for()
    page.get_by_text("Sealed test rows").first.wait_for()
    verdict = json.loads((tuned_again.project.root / "artifacts/evaluate/evaluation.json").read_text())["findings"][0]
    artifact = named(address, None, "artifacts")[-1]["id"]
    page = open_page(f"{address}/artifacts/artifact/{artifact}")
    page.get_by_role("heading", name=verdict["message"]).wait_for()
    page.get_by_role("cell", name="ROC AUC").first.wait_for()
    assert "file:" not in page.content()


def named(address: str, state: str | None, kind: str = "flow_runs") -> list[dict[str, Any]]:
    """Return flow runs of this state, or, of the kind "artifacts", results, oldest first."""
    asked = (
        {"flow_runs": {"state": {"name": {"any_": [state]}}}} if state else {"artifacts": {"key": {"any_": ["result"]}}}
    )
    request = urllib.request.Request(
        f"{address}/api/{kind}/filter", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return sorted(json.loads(answer.read()), key=lambda found: found["created"])
