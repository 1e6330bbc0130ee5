"""A very small project, run once without any fault: what every faulty run must end in, and where it may begin."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks import pipeline
from tests.changing import change_params
from tests.chaos import doors, mlflow_facts, processes
from tests.chaos.mlflow_facts import Facts
from tests.e2e.conftest import COPIED, ROOT

TINY: dict[str, Any] = {
    "data.source": "data/raw/table.csv",
    "data.target": "kind",
    "train.epochs": 6,
    "train.patience": 0,
    "baseline.networks": 1,
    "budget.epochs": 60,
    "search.space": {"n_layers": 1},
    "search.random.share": 0.25,
    "search.random.trials": 6,
    "search.random.epochs": 2,
    "search.random.batch": 3,
    "search.bayes.share": 0.3,
    "search.bayes.trials": 6,
    "search.bayes.epochs": 2,
    "search.bayes.batch": 3,
    "search.hyperband.share": 0.45,
    "search.hyperband.min_epochs": 2,
    "search.hyperband.batch": 3,
    "search.replay.finalists": 1,
    "search.replay.seeds": 2,
    "retrain.seeds": 1,
    "evaluate.bootstrap": 100,
    "execution.workers": 2,
}
SEARCHES = ("search_random", "search_bayes", "search_hyperband")
EXPERIMENT = "hone"


@dataclass(frozen=True)
class World:
    """What all faults share.

    place: the folder for everything. names: the stages in order. seconds: what each took. before: the project as it
    was before each stage, and at the end. api: of a Prefect server. server: MLflow's port, and its database.
    quick: whether to spare what takes longest: workers that are new processes, and DVC where a kind needs it not.
    """

    place: Path
    names: tuple[str, ...]
    seconds: Mapping[str, float]
    api: str | None = None
    server: int | None = None
    quick: bool = False

    def before(self, index: int) -> Path:
        """Return the project as it was before the stage of that index; the number of stages is the end."""
        return self.place / "before" / str(index)

    @property
    def database(self) -> Path:
        """The MLflow server's."""
        return self.place / "server" / "mlflow.db"

    @cached_property
    def hashes(self) -> dict[str, str]:
        """A hash for each out of each stage."""
        return hashes(self.before(len(self.names)), self.names)

    @cached_property
    def facts(self) -> list[Facts]:
        """What MLflow knows before each stage, and at the end."""
        return [self._facts(index) for index in range(len(self.names) + 1)]

    @cached_property
    def trials(self) -> dict[str, int]:
        """How many trials each study has."""
        found: dict[str, int] = {}
        for key in self.facts[-1].runs:
            if key.count("/") == 2:
                study = key.rpartition("/")[2].rpartition("-")[0]
                found[study] = found.get(study, 0) + 1
        return found

    def _facts(self, index: int) -> Facts:
        root = self.before(index)
        if not (root / "mlflow.db").exists():
            return mlflow_facts.NONE
        return mlflow_facts.read(root / "mlflow.db", EXPERIMENT, root / "mlartifacts")


def environment(root: Path, mark: str, api: str | None = None) -> dict[str, str]:
    """Return the environment of the commands in a project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "HONE_"))}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "160",
        "DO_NOT_TRACK": "1",
        "DVC_NO_ANALYTICS": "true",
        "DVC_SITE_CACHE_DIR": str(root.parent / "dvc"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PREFECT_HOME": str(root.parent / "prefect"),
        "PREFECT_LOGGING_LEVEL": "WARNING",
        **({"PREFECT_API_URL": api} if api else {}),
        processes.MARK: mark,
    }


def build(place: Path, *, quick: bool = False) -> tuple[tuple[str, ...], dict[str, float]]:
    """Run the project once, stage by stage, keeping a copy before each; return their names and seconds."""
    root = place / "reference" / "project"
    make(root)
    names = tuple(pipeline.specs(root))
    seconds = {}
    for index, name in enumerate(names):
        copy(root, place / "before" / str(index))
        log = place / "reference" / f"{name}.log"
        started = time.monotonic()
        command = processes.start(
            lambda name=name: doors.walk(root, [name]),
            root=root,
            log=log,
            environment=environment(root, "reference"),
            # As in production: the others show that forks come to the same.
            spawn=name == "search_random" and not quick,
        )
        ended = command.wait(180)
        seconds[name] = time.monotonic() - started
        if ended.code != 0:
            raise RuntimeError(f"{name} ended with {ended.code} without any fault:\n{ended.log[-3000:]}")
    copy(root, place / "before" / str(len(names)))
    return names, seconds


def make(root: Path) -> None:
    """Make the project, committed to git."""
    for item in COPIED:
        source = ROOT / item
        if source.is_dir():
            shutil.copytree(source, root / item, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            root.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, root / item)
    (root / "data" / "raw").mkdir(parents=True)
    for item in ("warm_start", "start_from"):
        shutil.copytree(ROOT / "data" / item, root / "data" / item)
    (root / ".dvc").mkdir()
    for item in ("config", ".gitignore"):
        shutil.copyfile(ROOT / ".dvc" / item, root / ".dvc" / item)
    change_params(root, TINY)
    (root / "data" / "raw" / "table.csv").write_text(table())
    env = environment(root, "reference")
    for command in (
        ["git", "init", "-q"],
        [sys.executable, "-m", "dvc", "add", "-q", "data/raw/table.csv"],
        ["git", "add", "-A"],
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "a project"],
    ):
        subprocess.run(command, cwd=root, env=env, check=True)


def table() -> str:
    """Return a table of 90 rows as CSV, from a generator that is written out: the same on every machine."""
    state, lines = 7, ["a,b,town,kind"]

    def draw() -> float:
        nonlocal state
        state = (1103515245 * state + 12345) % 2**31
        return state / 2**31

    for _ in range(90):
        a, b, town = draw(), draw(), "AB"[draw() > 0.5]
        kind = "ash" if a + (town == "A") * 0.4 + draw() * 0.5 > 0.95 else "birch"
        lines.append(f"{a:.4f},{b:.4f},{town},{kind}")
    return "\n".join(lines) + "\n"


def copy(root: Path, target: Path) -> None:
    """Copy a project, times included: DVC and Hone believe them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", f"{root}/." if target.exists() else str(root), str(target)], check=True)


def hashes(root: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return a hash for each out of some stages."""
    specs = pipeline.specs(root)
    return {out: _hash(root / out) for name in names for out in specs[name].outs}


def _hash(path: Path) -> str:
    # Not `pipeline.hash_path`, which believes times: what is damaged here may have kept them.
    if path.is_dir():
        content = {file.relative_to(path).as_posix(): _hash(file) for file in path.rglob("*") if file.is_file()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "missing"
