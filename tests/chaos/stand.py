"""One copy of the project on which faults are tried, from the first of them to the verdict."""

import contextlib
import fcntl
import json
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml

from tests.changing import change_params
from tests.chaos import doors, mlflow_facts, placed, processes, world
from tests.chaos.processes import Command, Ended, Hook
from tests.chaos.servers import Mode, Proxy
from tests.chaos.world import World

Verdict = Literal["not equal", "exception", "MLflow", "child left", "lock"]
PATIENCE = 150
TRIES = 4
"""How often a command is run again until it ends well."""


class LostError(Exception):
    """Something was lost. verdict: what."""

    def __init__(self, verdict: Verdict, text: str) -> None:
        super().__init__(text)
        self.verdict = verdict


class MissedError(Exception):
    """The command ended before the fault could happen."""


class Stand:
    """A project before one of its stages, in which some of them are run, with faults, and at last without.

    folder: for the project and its logs. rng: draws all there is to be drawn. proxy: a function that makes the proxy in
    front of the MLflow server, at the first need.
    """

    def __init__(self, everything: World, folder: Path, rng: random.Random, proxy: Callable[[], Proxy]) -> None:
        self.world = everything
        self.folder = folder
        self.root = folder / "project"
        self.rng = rng
        self.hits = 0
        self.story: list[str] = []
        self._make_proxy = proxy
        self._is_mounted = False
        self._by_server = False
        self._door = "stages"
        self._names: tuple[str, ...] = ()
        self._index = 0
        self._last: Ended | None = None

    # Where it begins

    def begin(
        self,
        stage: str,
        *,
        n: int = 1,
        door: str = "stages",
        from_start: bool = False,
        by_server: bool = False,
    ) -> None:
        """Have the project as it was before a stage, which is run with the n - 1 stages behind it.

        door: see `doors`. from_start: run all stages up to it. by_server: track with the MLflow server, from nothing.
        """
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._index = self.world.names.index(stage)
        end = min(self._index + n, len(self.world.names))
        self._names = self.world.names[0 if from_start else self._index : end]
        self._door, self._end, self._by_server = door, end, by_server
        self._last = None
        self.story = [f"{door} {stage}" + (f" and {end - self._index - 1} more" if end > self._index + 1 else "")]
        source = self.world.before(self._index)
        world.copy(source, self.root)
        if (self.root / "mlflow.db").exists():
            mlflow_facts.move(self.root / "mlflow.db", str(self.world.place / "reference" / "project"), str(self.root))
        if by_server:
            uri = f"http://127.0.0.1:{self.proxy.port}"
            change_params(self.root, {"tracking.uri": uri, "tracking.experiment": self.experiment})

    @cached_property
    def proxy(self) -> Proxy:
        """The proxy in front of the MLflow server."""
        return self._make_proxy()

    @property
    def experiment(self) -> str:
        """The MLflow experiment."""
        return self.folder.name if self._by_server else world.EXPERIMENT

    @property
    def usual(self) -> float:
        """About how many seconds the stages take."""
        return sum(min(self.world.seconds[name], 5.0) for name in self._names)

    def mount(self, spare: int) -> None:
        """Move the project to a disk of its own that has so many bytes to spare."""
        content = self.folder / "moved"
        self.root.rename(content)
        self.root.mkdir()
        used = int(subprocess.run(["du", "-s", "-B4096", content], capture_output=True, check=True).stdout.split()[0])
        size = f"size={(used + 64) * 4096 + spare}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "chaos", self.root], check=True)
        self._is_mounted = True
        world.copy(content, self.root)
        shutil.rmtree(content)

    def make_room(self) -> None:
        """Have the small disk be a large one."""
        subprocess.run(["mount", "-o", "remount,size=1G", self.root], check=True)

    # Running

    def start(self, *, hooks: Sequence[Hook] = (), spawn: bool = False) -> Command:
        """Return the command at work."""
        door, root, names = doors.DOORS[self._door], self.root, self._names
        return self._started(lambda: door(root, names), hooks, spawn and not self.world.quick)

    def sync(self) -> Command:
        """Return `hone sync` at work."""
        root = self.root
        return self._started(lambda: doors.sync(root), (), False)

    def ended(
        self, command: Command, codes: Collection[int] = (0,), *, wait: float = PATIENCE, counts: bool = True
    ) -> Ended:
        """Return how a command ended; raise LostError if it did so as no person should see it.

        counts: whether the stages' work is done if it ended well, and is not otherwise.
        """
        ended = command.wait(wait)
        if counts:
            self._last = ended
        code, tail = ended.code, " | ".join(ended.log.strip().splitlines()[-3:])
        self.story.append(f"→ {code}")
        deadline = time.monotonic() + 5  # a kill reaches the children a moment later
        while (left := command.left()) and time.monotonic() < deadline:
            time.sleep(0.01)
        if left:
            command.signal(signal.SIGKILL)
            raise LostError("child left", f"still alive: {left}")
        if code is None:
            raise LostError("exception", f"hangs: {ended.log[-1500:]}")
        if code not in codes:
            raise LostError("exception", f"ended with {code}: {tail}")
        # Python forks the workers here, and tells of a signal that comes just then; a new process has no such moment.
        if "Traceback" in re.sub(
            r"(?s)Exception ignored in: <function _\w+Lock .*?(_Terminated|Interrupt)", "", ended.log
        ):
            raise LostError("exception", f"shows a traceback: {tail}")
        return ended

    def run(self, *, hooks: Sequence[Hook] = (), codes: Collection[int] = (0,), spawn: bool = False) -> Ended:
        """Run the command to its end."""
        return self.ended(self.start(hooks=hooks, spawn=spawn), codes)

    def with_fault(self, fault: placed.Fault, codes: Collection[int], *more: Hook) -> Ended:
        """Run the command with a fault; raise MissedError if it did not happen."""
        ended = self.run(hooks=[*more, lambda: placed.install(fault)], codes={*codes, 0})
        if not fault.note.exists():
            raise MissedError
        self.hit(fault.note.read_text().splitlines()[0].replace(str(self.root), ""))
        return ended

    def note(self) -> Path:
        """Return a new file in which a fault says that it has happened."""
        return self.folder / f"fault-{len(self.story)}-{time.monotonic_ns()}"

    def hit(self, what: str) -> None:
        """Count a fault that has happened."""
        self.hits += 1
        self.story.append(what)

    def pause(self, command: Command, share: float) -> None:
        """Wait for a share of what the stages usually take; raise MissedError if the command ends meanwhile."""
        end = command.seconds + share * self.usual
        if command.wait_until(lambda: command.seconds >= end):
            return
        self.ended(command)
        raise MissedError

    # The verdict

    def finish(self) -> None:
        """Run the command until it ends well; raise LostError if it does not, or anything is lost."""
        if self._last is None or self._last.code != 0:
            for attempt in range(TRIES):
                ended = self.run(codes=(0,) if attempt == TRIES - 1 else (0, 2))
                if ended.code == 0:
                    break
        self._deliver()
        self._check_files()
        self._check_mlflow()
        self._check_locks()

    def _deliver(self) -> None:
        """What waits in the spool is sent when anything is run again."""
        root = self.root
        for _ in range(TRIES):
            if not list(root.glob(".work/spool/*.jsonl")) and not (root / ".work" / "unregistered.json").exists():
                return
            self.ended(self.sync(), codes={0, 2}, counts=False)
        if left := list(root.glob(".work/spool/*.jsonl")):
            raise LostError("MLflow", f"{left[0].name} is not sent: {left[0].read_text(errors='replace')[:300]}")

    def _check_files(self) -> None:
        found = world.hashes(self.root, self.world.names[: self._end])
        wrong = [out for out, digest in found.items() if digest != self.world.hashes[out]]
        if wrong:
            raise LostError("not equal", ", ".join(wrong))
        if self._door != "stages":
            found, expected = (_said(root / "dvc.lock") for root in (self.root, self.world.before(self._end)))
            if found != expected:
                raise LostError("not equal", "dvc.lock")
        if (log := self.root / ".work" / "error.log").exists():
            raise LostError("exception", f"error.log: {log.read_text().strip().splitlines()[-1]}")

    def _check_mlflow(self) -> None:
        before, expected = self.world.facts[self._index], self.world.facts[self._end]
        if self._by_server:
            expected = mlflow_facts.of_stages(expected, self._names, before)
            found = mlflow_facts.read(self.world.database, self.experiment)
            found = mlflow_facts.of_stages(found, self._names, mlflow_facts.NONE)
            found = mlflow_facts.Facts(found.runs, found.doubled, expected.versions)  # all experiments share them
        else:
            found = mlflow_facts.read(self.root / "mlflow.db", self.experiment, self.root / "mlartifacts")
        if wrong := list(mlflow_facts.differences(expected, found, files=not self._by_server)):
            raise LostError("MLflow", "; ".join(wrong[:4]))

    def _check_locks(self) -> None:
        with contextlib.suppress(FileNotFoundError), (self.root / ".work" / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LostError("lock", ".work/lock is held") from None
        if self._door != "stages":
            root, names, environment = self.root, self.world.names[: self._end], self._environment()
            log = self.folder / "status.log"
            command = processes.start(
                lambda: doors.stale(root, names, environment) or 0, root=root, log=log, environment=environment
            )
            if (ended := command.wait(60)).code != 0:
                raise LostError("lock", f"dvc status: {ended.log.strip()[-600:]}")

    def close(self) -> None:
        """Let go of what it holds."""
        if self._is_mounted:
            subprocess.run(["umount", "-l", self.root], check=False)
            self._is_mounted = False
        if self._by_server:
            self.proxy.set(Mode.WORKS)

    def _started(self, work: Callable[[], int], hooks: Sequence[Hook], spawn: bool) -> Command:
        log = self.folder / f"{len(list(self.folder.glob('*.log')))}.log"
        return processes.start(work, root=self.root, log=log, environment=self._environment(), hooks=hooks, spawn=spawn)

    def _environment(self) -> dict[str, str]:
        return world.environment(self.root, self.folder.name, self.world.api)


def _said(lock: Path) -> str:
    """Return what a dvc.lock says, sizes left out: where one was cut off, DVC does not miss it."""
    content = yaml.load(lock.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for stage in content["stages"].values():
        for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
            entry.pop("size", None)
            entry.pop("nfiles", None)
    return json.dumps(content)
