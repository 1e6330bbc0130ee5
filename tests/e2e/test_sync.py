"""A tracking server that is away holds nothing up; what it missed is sent later, each record once."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter

import pytest

from tasks import pipeline, run, tracking
from tasks.reporting import NullReporter
from tasks.tracking.mlflow import KEY, connect
from tests.e2e.test_every_family import QUICK, table

pytestmark = pytest.mark.e2e


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_what_a_server_missed_is_sent_once_it_is_there(make_project, port, tmp_path):
    uri = f"http://127.0.0.1:{port}"
    project = make_project({**QUICK, "model.family": "mlp", "tracking.uri": uri}, table(), name="away")
    with run.surroundings(project.root, NullReporter()) as (tracker, executor):
        for name in pipeline.specs(project.root):
            run.run_stage(project.root, name, reporter=NullReporter(), tracker=tracker, executor=executor)
    waiting = tracking.waiting(project.root)["mlflow"]
    assert waiting > 30
    failed = project.run(sys.executable, "-m", "flows.sync", check=False)
    assert failed.returncode == 2
    assert f"{waiting} entries for mlflow could not be sent" in failed.stderr
    assert tracking.waiting(project.root)["mlflow"] == waiting

    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/m.db", "--artifacts-destination", str(tmp_path / "files")]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=dict(project.environment), cwd=tmp_path)
        try:
            deadline = time.monotonic() + 120
            while not _answers(f"{uri}/health"):
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.3)
            done = project.run(sys.executable, "-m", "flows.sync")
            assert f"mlflow: {waiting} of {waiting} entries sent" in done.stdout
            assert "registry: hone version 1" in done.stdout
            assert "nothing waits" in project.run(sys.executable, "-m", "flows.sync").stdout
            client = connect(uri)
            experiment = client.get_experiment_by_name("hone").experiment_id
            runs = client.search_runs([experiment], max_results=1000)
            counts = Counter(each.data.tags[KEY] for each in runs)
            assert set(counts.values()) == {1}
            assert {each.info.status for each in runs} == {"FINISHED"}
            (whole,) = (each.info.run_id for each in runs if "/" not in each.data.tags[KEY])
            assert f"`hone reproduce {whole}` does it again" in done.stdout
            expected = {
                f"{next(key for key in counts if '/' not in key)}/{name}" for name in pipeline.specs(project.root)
            }
            assert expected <= set(counts)
            trials = sum(len(project.journal(name)) for name in expected_searches(project))
            assert sum(key.count("/") == 2 for key in counts) == trials + len(
                project.journal("search_hyperband", "replay")
            )
        finally:
            server.terminate()
            server.wait()


def expected_searches(project):
    return [name for name in pipeline.specs(project.root) if name.startswith("search_")]


def _answers(url):
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except OSError:
        return False
