"""Projects to run pipelines in: copies of this repository, small enough to finish in seconds."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import pipeline
from tests.changing import change_params

ROOT = Path(__file__).parents[2]
COPIED = (
    "custom",
    "hone",
    "tasks",
    "flows",
    "dvc.yaml",
    "params.yaml",
    "prefect.toml",
    "requirements.lock",
    ".gitignore",
    ".dvcignore",
)

SMALL: dict[str, Any] = {
    "data.source": "sklearn:wine",
    "train.epochs": 9,
    "train.patience": 4,
    "baseline.networks": 2,
    "budget.epochs": 120,
    "search.random.share": 0.3,
    "search.random.trials": 0,
    "search.random.epochs": 3,
    "search.random.batch": 4,
    "search.bayes.share": 0.35,
    "search.bayes.epochs": 4,
    "search.bayes.batch": 4,
    "search.hyperband.share": 0.35,
    "search.hyperband.min_epochs": 3,
    "search.hyperband.entrants": 2,
    "search.hyperband.batch": 4,
    "search.replay.finalists": 2,
    "search.replay.seeds": 2,
    "retrain.seeds": 2,
    "evaluate.bootstrap": 100,
}

STAGES = """
import sys

from tasks import project, run
from tasks.reporting import NullReporter

if __name__ == "__main__":
    root = project.find_root()
    with run.surroundings(root, NullReporter()) as (tracker, executor):
        for name in sys.argv[1:]:
            run.run_stage(root, name, reporter=NullReporter(), tracker=tracker, executor=executor)
"""


@dataclass(frozen=True)
class Project:
    """A project on disk, and the ways people use it."""

    root: Path
    environment: Mapping[str, str]

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the project and return it with its output; fail the test if it fails."""
        done = subprocess.run(
            command, cwd=self.root, env=dict(self.environment), capture_output=True, text=True, timeout=600
        )
        if check and done.returncode:
            pytest.fail(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        return done

    def dvc(self, *arguments: str) -> str:
        """Run a dvc command and return what it printed."""
        return self.run("dvc", *arguments).stdout

    def flow(self) -> str:
        """Run the whole chain as a flow and return what it printed."""
        return self.run("python", "-m", "flows.tune").stdout

    def stages(self, *names: str) -> None:
        """Run stages, all of them by default, in one process of their own, with neither Prefect nor DVC."""
        self.run("python", "-c", STAGES, *(names or pipeline.specs(self.root)))

    def git(self, *arguments: str) -> str:
        """Run a git command and return what it printed."""
        return self.run("git", *arguments).stdout

    def copy(self, place: Path, *without: str) -> "Project":
        """Return a copy of the project, without some of its files and folders."""
        left_out = {self.root / path for path in without}
        shutil.copytree(
            self.root,
            place,
            symlinks=True,
            ignore=lambda folder, names: [name for name in names if Path(folder, name) in left_out],
        )
        return Project(place, self.environment)

    def killed(self, *command: str, when: Any, after: float = 300) -> None:
        """Run a command in a process group of its own and kill -9 the whole group as soon as `when()` holds."""
        log = self.root / ".work" / "killed.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=self.root, env=dict(self.environment), stdout=output, stderr=output, start_new_session=True
            )
            deadline = time.monotonic() + after
            try:
                while not when():
                    assert process.poll() is None, f"it ended before it could be killed:\n{log.read_text()[-3000:]}"
                    assert time.monotonic() < deadline, f"nothing to kill it for:\n{log.read_text()[-3000:]}"
                    time.sleep(0.01)
            finally:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def change(self, changes: Mapping[str, Any]) -> None:
        """Change params.yaml, by dotted key."""
        change_params(self.root, changes)

    def hashes(self) -> dict[str, str]:
        """Return a hash of every out of every stage."""
        outs = [out for spec in pipeline.specs(self.root).values() for out in spec.outs]
        assert all((self.root / out).exists() for out in outs), "an out is missing"
        return {out: pipeline.hash_path(self.root / out) for out in outs}

    def lock(self) -> dict[str, Any]:
        """Return dvc.lock."""
        return yaml.safe_load((self.root / "dvc.lock").read_text())

    def journal(self, stage: str, study: str | None = None) -> list[str]:
        """Return the lines of a stage's journal; none if it has not begun."""
        files = sorted(self.root.glob(f".work/{stage}-*/{study or stage}.jsonl"))
        return files[-1].read_text().splitlines() if files else []


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """The environment of every command; Prefect's database is shared, as making one takes 10 s."""
    home = tmp_path_factory.mktemp("prefect")
    bin_folder = Path(sys.executable).parent
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "HONE_"))},
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PREFECT_HOME": str(home),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # eight processes more than tests have use for
        "DO_NOT_TRACK": "1",
        "COLUMNS": "160",
    }


@pytest.fixture(scope="session")
def make_project(tmp_path_factory, environment):
    """Return a function that makes a project, with params changed by dotted key, committed to git."""

    def make(changes: Mapping[str, Any] | None = None, table: Any = None, name: str = "project") -> Project:
        root = tmp_path_factory.mktemp(name)
        for item in COPIED:
            source = ROOT / item
            if source.is_dir():
                shutil.copytree(source, root / item, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, root / item)
        (root / "data" / "raw").mkdir(parents=True)
        shutil.copyfile(ROOT / "data" / "raw" / "README.md", root / "data" / "raw" / "README.md")
        for item in ("warm_start", "start_from"):
            shutil.copytree(ROOT / "data" / item, root / "data" / item)
        (root / ".dvc").mkdir()
        for item in ("config", ".gitignore"):
            shutil.copyfile(ROOT / ".dvc" / item, root / ".dvc" / item)
        project = Project(root, environment)
        project.change({**SMALL, **(changes or {})})
        if table is not None:
            table.to_csv(root / "data" / "raw" / "table.csv", index=False)
        project.git("init", "-q")
        if table is not None:
            project.dvc("add", "-q", "data/raw/table.csv")
        project.git("add", "-A")
        project.git("-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "a project")
        return project

    return make


@pytest.fixture(scope="session")
def by_both_doors(make_project):
    """The two projects below, finished side by side: each alone leaves a core idle while its stages start."""
    flow = make_project({"execution.workers": 1}, name="flow")
    dvc = make_project({"execution.workers": 2}, name="dvc")
    with ThreadPoolExecutor() as pool:
        for done in (pool.submit(flow.flow), pool.submit(dvc.dvc, "repro")):
            done.result()
    return flow, dvc


@pytest.fixture(scope="session")
def by_flow(by_both_doors):
    """A project that a flow has finished, with one worker. Whoever changes it works on a copy."""
    return by_both_doors[0]


@pytest.fixture(scope="session")
def by_dvc(by_both_doors):
    """A project that `dvc repro` has finished, with two workers. Whoever changes it works on a copy."""
    return by_both_doors[1]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text())
