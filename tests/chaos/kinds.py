"""The kinds of faults: each draws its parameters, lets them happen on a stand, and leaves the verdict to it."""

import contextlib
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import damage
from tests.chaos.placed import Act, Fault, Operation
from tests.chaos.servers import Mode
from tests.chaos.stand import MissedError, Stand
from tests.chaos.world import SEARCHES

KILLED, TERMINATED, INTERRUPTED = -signal.SIGKILL, 143, 130
KILLED_OR_DONE = {KILLED, 0}
"""Of a kill by the clock: the command may end while the signal is on its way."""
MENDABLE = 2
TRAINING = ("baseline", *SEARCHES, "retrain", "evaluate")
LATE = ("retrain", "evaluate", "report")
ALL = ("ingest", "split", "budget", *TRAINING, "report", *SEARCHES, *SEARCHES)  # most goes on in the searches

Play = Callable[[Stand], None]


@dataclass(frozen=True)
class Kind:
    """One kind of fault. says: in a table. share: of all faults, relatively. needs: "server", "prefect" or "mount"."""

    says: str
    share: int
    play: Play
    needs: str | None = None


# Kills at a random moment


def kill_group(stand: Stand) -> None:
    """`kill -9` of the whole group, up to three times."""
    _begin(stand, *ALL)
    for _ in range(stand.rng.choice([1, 1, 1, 2, 3])):
        command = stand.start(spawn=stand.rng.random() < 0.06)
        stand.pause(command, stand.rng.uniform(0.0, 0.7))
        command.signal(signal.SIGKILL)
        stand.hit("kill -9 of the group")
        stand.ended(command, KILLED_OR_DONE)


def kill_parent(stand: Stand) -> None:
    """`kill -9` of the command alone: its workers must go with it."""
    _begin(stand, *ALL)
    command = stand.start(spawn=stand.rng.random() < 0.1)
    stand.pause(command, stand.rng.uniform(0.0, 0.7))
    command.signal(signal.SIGKILL, group=False)
    stand.hit("kill -9 of the parent")
    stand.ended(command, KILLED_OR_DONE)


def kill_worker(stand: Stand) -> None:
    """`kill -9` of a process that trains: the command goes on without it."""
    _begin(stand, *TRAINING)
    command = stand.start(spawn=stand.rng.random() < 0.1)
    if not command.wait_until(lambda: bool(command.workers())):
        stand.ended(command)
        raise MissedError
    stand.pause(command, stand.rng.uniform(0.0, 0.4))
    if not (workers := command.workers()):
        stand.ended(command)
        raise MissedError
    with contextlib.suppress(ProcessLookupError):
        os.kill(stand.rng.choice(workers).pid, signal.SIGKILL)
    stand.hit(f"kill -9 of one of {len(workers)} workers")
    stand.ended(command)


def sigterm(stand: Stand) -> None:
    """SIGTERM, to the group or to the parent."""
    _signalled(stand, signal.SIGTERM, TERMINATED)


def sigint(stand: Stand) -> None:
    """Ctrl-C, which a terminal sends to the group, or `kill -INT` of the parent."""
    _signalled(stand, signal.SIGINT, INTERRUPTED)


def _signalled(stand: Stand, number: int, code: int) -> None:
    _begin(stand, *ALL)
    command = stand.start(spawn=stand.rng.random() < 0.2)
    stand.pause(command, stand.rng.uniform(0.0, 0.7))
    group = stand.rng.random() < 0.6
    command.signal(number, group=group)
    stand.hit(f"{signal.Signals(number).name} to the {'group' if group else 'parent'}")
    # Not 0: whoever asked it to end would take it for done. Unless it just was, and was about to end by itself.
    stand.ended(command, {code, 0, -number})


# Kills at an exact place


def kill_journal(stand: Stand) -> None:
    """A kill at a random byte of a journal's line, before it is synced, or after."""
    stage = stand.rng.choice(SEARCHES)
    study = "replay" if stage == "search_hyperband" and stand.rng.random() < 0.4 else stage
    stand.begin(stage)
    nth = stand.rng.randint(1, stand.world.trials[study])
    _placed(stand, lambda path: f"{study}.jsonl" in path, ("write", "write", "write", "fsync"), nth, "kill group")


def kill_checkpoint(stand: Stand) -> None:
    """A kill at a random byte of a checkpoint, or before or after it gets its name; of the worker or of all."""
    stand.begin(stand.rng.choice(SEARCHES))
    act: Act = stand.rng.choice(["kill group", "kill process"])
    operations: tuple[Operation, ...] = ("write", "write", "replace", "replaced")
    _placed(stand, _is_checkpoint, operations, stand.rng.randint(1, 2), act)


def kill_out(stand: Stand) -> None:
    """A kill in the midst of an out."""
    stage = _begin(stand, *ALL)
    outs = _outs(stand, stage)
    operations: tuple[Operation, ...] = ("write", "write", "fsync", "replace", "replaced")
    nth = stand.rng.choice([1, 1, 2, 3, 5])
    _placed(stand, lambda path: _of_outs(path, outs), operations, nth, "kill group")


def kill_rows(stand: Stand) -> None:
    """A kill in the midst of the encoded rows."""
    stand.begin(stand.rng.choice(("budget", *TRAINING)))
    operations: tuple[Operation, ...] = ("write", "fsync", "replace", "replaced")
    act: Act = stand.rng.choice(["kill group", "kill process"])
    _placed(stand, lambda path: "/rows/" in path, operations, stand.rng.randint(1, 6), act)


def kill_spool(stand: Stand) -> None:
    """A kill at a random byte of what waits for MLflow."""
    _begin(stand, *ALL)
    operations: tuple[Operation, ...] = ("write", "write", "replace")
    hooks = [_mlflow_is_away] if stand.rng.random() < 0.5 else []
    nth = stand.rng.randint(1, 6)
    _placed(stand, lambda path: "/.work/spool/" in path, operations, nth, "kill group", *hooks)


def kill_mlflow(stand: Stand) -> None:
    """A kill before or after a call to MLflow, by the tracker or the registry."""
    stage = stand.rng.choice((*ALL, "evaluate", "evaluate"))
    stand.begin(stage)
    note, nth, after = stand.note(), stand.rng.choice([1, 2, 3, 5, 8, 12]), stand.rng.random() < 0.5
    stand.run(hooks=[lambda: _kill_at_call(note, nth, after)], codes={KILLED, 0})
    if not note.exists():
        raise MissedError
    stand.hit(f"kill -9 {'after' if after else 'before'} call {nth} to MLflow, {note.read_text()}")


def kill_sync(stand: Stand) -> None:
    """`kill -9` of `hone sync`, when all of a search waits to be sent."""
    stand.begin(stand.rng.choice(SEARCHES))
    stand.run(hooks=[_mlflow_is_away])
    for _ in range(stand.rng.randint(1, 3)):
        command = stand.sync()
        end = stand.rng.uniform(0.0, 0.6)
        if not command.wait_until(lambda command=command, end=end: command.seconds >= end):
            stand.ended(command, counts=False)
            break
        command.signal(signal.SIGKILL)
        stand.hit(f"hone sync killed after {end:.2f} s")
        stand.ended(command, KILLED_OR_DONE, counts=False)
    if not stand.hits:
        raise MissedError


def second(stand: Stand) -> None:
    """The same command once more, while it is at work: it must say so, and touch nothing."""
    _begin(stand, *ALL)
    command = stand.start()
    stand.pause(command, stand.rng.uniform(0.0, 0.5))
    other = stand.start()
    try:
        stand.ended(other, {MENDABLE, 0})
    finally:
        said = other.wait(1).log
    if "locked by" not in said:
        stand.ended(command)
        raise MissedError
    stand.hit("a second command, which was refused")
    stand.ended(command)


def kill_commit(stand: Stand) -> None:
    """A kill between a stage's end and its commit to DVC, or in the midst of that."""
    stand.begin(stand.rng.choice(ALL), door="walk")
    place = stand.rng.choice(["before", "after", "dvc.lock", "dvc.lock", ".dvc/tmp/rwlock", ".dvc/cache", ".dvc/"])
    if place in ("before", "after"):
        note = stand.note()
        stand.run(hooks=[lambda: _kill_at_commit(note, place == "after")], codes={KILLED, 0})
        if not note.exists():
            raise MissedError
        stand.hit(f"kill -9 {place} the commit")
        return
    nth = stand.rng.randint(1, 2 if place == "dvc.lock" else 6)
    operations: tuple[Operation, ...] = ("write", "replace", "replaced")
    _placed(stand, lambda path: place in path, operations, nth, "kill group")


def kill_flow(stand: Stand) -> None:
    """`kill -9` of `hone tune`, Prefect and all: of the group or of the flow's process."""
    stand.begin(stand.rng.choice(LATE), n=len(LATE), door="flow")
    command = stand.start()
    stand.pause(command, stand.rng.uniform(0.1, 1.2))
    group = stand.rng.random() < 0.5
    command.signal(signal.SIGKILL, group=group)
    stand.hit(f"kill -9 of the {'group' if group else 'flow'}")
    stand.ended(command, KILLED_OR_DONE)


# A full disk


def full_journal(stand: Stand) -> None:
    """The journal cannot be written."""
    stage = stand.rng.choice(SEARCHES)
    stand.begin(stage)
    nth = stand.rng.randint(1, stand.world.trials[stage])
    _full(stand, lambda path: ".jsonl" in path and "/spool/" not in path, ("write", "fsync"), nth)


def full_checkpoint(stand: Stand) -> None:
    """No checkpoint can be written."""
    stand.begin(stand.rng.choice(SEARCHES))
    _full(stand, _is_checkpoint, ("write", "replace"), stand.rng.randint(1, 2))


def full_out(stand: Stand) -> None:
    """No out can be written."""
    stage = _begin(stand, *ALL)
    outs = _outs(stand, stage)
    nth = stand.rng.choice([1, 1, 2, 3])
    _full(stand, lambda path: _of_outs(path, outs), ("write", "fsync", "replace"), nth)


def full_spool(stand: Stand) -> None:
    """What waits for MLflow cannot be written down."""
    _begin(stand, *ALL)
    _full(stand, lambda path: "/.work/spool/" in path, ("write", "replace"), stand.rng.randint(1, 4))


def full_mlflow(stand: Stand) -> None:
    """MLflow's database takes no more."""
    _begin(stand, *ALL)
    pages = stand.rng.choice([0, 0, 1, 2, 5])
    stand.run(hooks=[lambda: _limit_database(pages)])
    stand.hit(f"MLflow's database may grow by {pages} pages")


def full_disk(stand: Stand) -> None:
    """The project's disk is full, whoever writes; later there is room again."""
    _begin(stand, *ALL)
    spare = stand.rng.choice([0, stand.rng.randint(0, 40_000), stand.rng.randint(0, 400_000)])
    stand.mount(spare)
    ended = stand.run(codes={0, MENDABLE})
    stand.hit(f"{spare} bytes to spare, ended with {ended.code}")
    stand.make_room()


# MLflow's server and database


def server_away(stand: Stand) -> None:
    """The server is not there from the start, and comes back later."""
    _served(stand)
    stand.proxy.set(Mode.REFUSES)
    stand.hit("no server")
    stand.run()
    stand.proxy.set(Mode.WORKS)


def server_goes(stand: Stand) -> None:
    """The server goes away in the middle and comes back; in every second case the command is killed meanwhile."""
    _meanwhile(stand, Mode.REFUSES, "the server went away")


def server_cuts(stand: Stand) -> None:
    """Connections are cut before a request gets through."""
    _meanwhile(stand, Mode.CUTS, "requests were cut")


def server_deaf(stand: Stand) -> None:
    """Requests get through, their answers do not."""
    _meanwhile(stand, Mode.DEAF, "answers were cut")


def server_fails(stand: Stand) -> None:
    """The server answers 500."""
    _meanwhile(stand, Mode.FAILS, "the server answered 500")


def server_slow(stand: Stand) -> None:
    """The server takes its time."""
    _served(stand)
    delay = stand.rng.uniform(0.02, 0.2)
    stand.proxy.set(Mode.SLOW, delay)
    stand.hit(f"{delay:.2f} s for each packet")
    stand.run()
    stand.proxy.set(Mode.WORKS)


def _served(stand: Stand) -> None:
    stand.begin(stand.rng.choice(SEARCHES), by_server=True)


def _meanwhile(stand: Stand, mode: Mode, says: str) -> None:
    _served(stand)
    command = stand.start()
    stand.pause(command, stand.rng.uniform(0.0, 0.6))
    stand.proxy.set(mode)
    stand.hit(says)
    if stand.rng.random() < 0.5:
        with contextlib.suppress(MissedError):
            stand.pause(command, stand.rng.uniform(0.1, 0.5))
            command.signal(signal.SIGKILL)
            stand.hit("and the group was killed")
            stand.ended(command, KILLED_OR_DONE)
    elif stand.rng.random() < 0.5:
        with contextlib.suppress(MissedError):
            stand.pause(command, stand.rng.uniform(0.1, 0.5))
            stand.proxy.set(Mode.WORKS)
            stand.ended(command)
    else:
        stand.ended(command)
    stand.proxy.set(Mode.WORKS)


def sqlite_lock(stand: Stand) -> None:
    """Another process holds MLflow's database for a while."""
    _begin(stand, *ALL)
    database, wait = stand.root / "mlflow.db", stand.rng.uniform(0.0, 1.5)
    hold, readers_too = stand.rng.uniform(0.3, 8.0), stand.rng.random() < 0.5
    parent = os.getpid()
    holder = os.fork()
    if not holder:
        with contextlib.suppress(sqlite3.Error):
            time.sleep(wait)
            connection = sqlite3.connect(database, timeout=30, isolation_level=None)
            if readers_too:
                connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            end = time.monotonic() + hold
            while time.monotonic() < end and os.getppid() == parent:
                time.sleep(0.02)
        os._exit(0)
    stand.hit(f"MLflow's database locked for {hold:.1f} s after {wait:.1f} s{', for readers too' * readers_too}")
    try:
        stand.run()
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


# Damage between two runs


def torn_journal(stand: Stand) -> None:
    """A journal with a torn tail, a flipped bit, a line too few or too many."""
    stage = _interrupted(stand)
    (journal,) = stand.root.glob(f".work/{stage}-*/{stage}.jsonl")
    stand.hit(f"journal: {stand.rng.choice(damage.OF_LINES)(journal, stand.rng)}")


def torn_checkpoint(stand: Stand) -> None:
    """A checkpoint that is flipped, cut, emptied or gone."""
    stage = _interrupted(stand)
    files = sorted(stand.root.glob(f".work/{stage}-*/checkpoints/*"))
    if not files:
        raise MissedError
    for file in stand.rng.sample(files, stand.rng.choice([1, 1, len(files)])):
        stand.story.append(f"{file.name}: {stand.rng.choice(damage.OF_FILES)(file, stand.rng)}")
    stand.hit("checkpoints damaged")


def torn_rows(stand: Stand) -> None:
    """Encoded rows that are flipped, cut, emptied or gone."""
    stage = _interrupted(stand)
    files = sorted(file for file in stand.root.glob(f".work/{stage}-*/rows/**/*") if file.is_file())
    if not files:
        raise MissedError
    for file in stand.rng.sample(files, stand.rng.choice([1, 1, 2])):
        stand.story.append(f"{file.name}: {stand.rng.choice(damage.OF_FILES)(file, stand.rng)}")
    stand.hit("encoded rows damaged")


def torn_spool(stand: Stand) -> None:
    """What waits for MLflow with a torn tail, a flipped bit, a line too few or too many."""
    _interrupted(stand, _mlflow_is_away)
    files = list(stand.root.glob(".work/spool/*.jsonl"))
    if not files:
        raise MissedError
    stand.hit(f"spool: {stand.rng.choice(damage.OF_LINES)(files[0], stand.rng)}")


def torn_out(stand: Stand) -> None:
    """An out of a stage before, damaged before the next one reads it; through the flow, which asks DVC."""
    stage = stand.rng.choice(("baseline", *SEARCHES, *LATE))
    stand.begin(stage, door="walk", from_start=True)
    out = stand.rng.choice(_outs(stand, *stand.world.names[: stand.world.names.index(stage)]))
    files = sorted(file for file in [out, *out.rglob("*")] if file.is_file())
    if not files:
        raise MissedError
    file = stand.rng.choice(files)
    os.chmod(file, 0o644)
    stand.hit(f"{file.relative_to(stand.root)}: {stand.rng.choice(damage.OF_FILES)(file, stand.rng)}")


def torn_lock(stand: Stand) -> None:
    """The project's lock with garbage in it, while nobody holds it, and while someone does."""
    stand.begin(stand.rng.choice(("split", "search_random", "report")))
    lock = stand.root / ".work" / "lock"
    lock.parent.mkdir(exist_ok=True)
    lock.touch()
    says = damage.garbage(lock, stand.rng)
    if stand.rng.random() < 0.5:
        import fcntl

        with lock.open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            stand.run(codes={MENDABLE})
    stand.hit(f".work/lock: {says}")


def torn_dvc(stand: Stand) -> None:
    """DVC's own notes and locks, torn."""
    stage = stand.rng.choice(("split", *SEARCHES, *LATE))
    stand.begin(stage, door="walk", from_start=True)
    name = stand.rng.choice(
        ["dvc.lock", ".dvc/tmp/rwlock", ".dvc/tmp/rwlock.lock", ".dvc/tmp/lock", ".dvc/tmp/btime", "runs"]
    )
    if name == "runs":
        files = sorted(file for file in (stand.root / ".dvc/cache/runs").rglob("*") if file.is_file())
        file = stand.rng.choice(files)
    else:
        file = stand.root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.touch()
    os.chmod(file, 0o644)
    act = stand.rng.choice((damage.cut, damage.empty, damage.garbage, damage.zeros, damage.delete))
    stand.hit(f"{file.relative_to(stand.root)}: {act(file, stand.rng)}")


def torn_prefect(stand: Stand) -> None:
    """What a killed flow left, torn."""
    stand.begin("report", door="flow")
    folder = stand.root / ".work" / "flows"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("0b8f1a4e-6f5e-4d62-8f6a-0d8a0f2f7f10.json", "server.json", "not-a-run.json"):
        content = stand.rng.choice(["", "{", "[]", "null", json.dumps({"pid": 1, "started": 0.0}), '{"pid": "x"}'])
        (folder / name).write_text(content)
    stand.hit("notes of flows that nobody can read")


# One after the other


def series(stand: Stand) -> None:
    """Several faults on one run."""
    stage = stand.rng.choice(SEARCHES)
    stand.begin(stage)
    for _ in range(stand.rng.randint(2, 4)):
        journals = list(stand.root.glob(f".work/{stage}-*/{stage}.jsonl"))
        act = stand.rng.choice(["moment", "journal", "out", "term", "full", "damage", "damage"])
        with contextlib.suppress(MissedError):
            if act == "moment":
                command = stand.start()
                stand.pause(command, stand.rng.uniform(0.0, 0.6))
                command.signal(signal.SIGKILL, group=stand.rng.random() < 0.7)
                stand.hit("kill -9")
                stand.ended(command, KILLED_OR_DONE)
            elif act == "term":
                command = stand.start()
                stand.pause(command, stand.rng.uniform(0.0, 0.6))
                command.signal(signal.SIGTERM)
                stand.hit("SIGTERM")
                stand.ended(command, {TERMINATED, 0, -signal.SIGTERM})  # in its last steps, as in `_signalled`
            elif act == "journal":
                _placed(stand, lambda path: ".jsonl" in path, ("write", "fsync"), stand.rng.randint(1, 4), "kill group")
            elif act == "out":
                _placed(stand, lambda path: "/artifacts/" in path, ("write", "replace"), 1, "kill group")
            elif act == "full":
                _full(stand, lambda path: "/.work/" in path, ("write",), stand.rng.randint(1, 20))
            elif journals:
                files = [*journals, *stand.root.glob(f".work/{stage}-*/checkpoints/*")]
                file = stand.rng.choice(sorted(files))
                acts = damage.OF_LINES if file in journals else damage.OF_FILES
                stand.hit(f"{file.name}: {stand.rng.choice(acts)(file, stand.rng)}")
    if not stand.hits:
        raise MissedError


# What they share


def _begin(stand: Stand, *among: str) -> str:
    """Begin at one of some stages; return it. Sometimes the next one is run too, sometimes through the flow's walk."""
    stage = stand.rng.choice(among)
    door = "walk" if stand.rng.random() < 0.2 and not stand.world.quick else "stages"
    stand.begin(stage, n=stand.rng.choice([1, 1, 1, 2]), door=door)
    return stage


def _placed(
    stand: Stand,
    matches: Callable[[str], bool],
    operations: tuple[Operation, ...],
    nth: int,
    act: Act,
    *hooks: Callable[[], None],
) -> None:
    fault = Fault(matches, stand.rng.choice(operations), nth, act, stand.note(), fraction=stand.rng.random())
    stand.with_fault(fault, {KILLED}, *hooks)


def _full(stand: Stand, matches: Callable[[str], bool], operations: tuple[Operation, ...], nth: int) -> None:
    times = stand.rng.choice([2, 4, 10**9])
    fault = Fault(
        matches, stand.rng.choice(operations), nth, "full", stand.note(), fraction=stand.rng.random(), times=times
    )
    stand.with_fault(fault, {MENDABLE})


def _interrupted(stand: Stand, *hooks: Callable[[], None]) -> str:
    """Have a search killed after some of its trials; return its name."""
    stage = stand.rng.choice(SEARCHES)
    stand.begin(stage)
    nth = stand.rng.randint(2, stand.world.trials[stage])
    fault = Fault(lambda path: f"/{stage}.jsonl" in path, "fsync", nth, "kill group", stand.note())
    stand.with_fault(fault, {KILLED}, *hooks)
    stand.hits -= 1  # it is what comes after that counts
    return stage


def _is_checkpoint(path: str) -> bool:
    return "/.work/" in path and "/checkpoints/" in path


def _outs(stand: Stand, *stages: str) -> list[Path]:
    from tasks import pipeline

    specs = pipeline.specs(stand.root)
    return [stand.root / out for name in stages for out in specs[name].outs]


def _of_outs(path: str, outs: list[Path]) -> bool:
    """Return whether a path is an out, in one, or about to become one."""
    file = Path(path)
    return any(
        file == out or out in file.parents or (file.parent == out.parent and file.name.startswith(f".{out.name}"))
        for out in outs
    )


def _mlflow_is_away() -> None:
    from tasks.tracking import MlflowTracker

    def log(self: MlflowTracker, entry: object) -> None:
        raise ConnectionError("away")

    MlflowTracker.log = log  # type: ignore[method-assign, assignment]


def _kill_at_commit(note: Path, after: bool) -> None:
    from tasks.versioning import Claim

    real = Claim.commit

    def commit(self: Claim) -> None:
        if after:
            real(self)
        note.touch()
        os.killpg(0, signal.SIGKILL)

    Claim.commit = commit  # type: ignore[method-assign]


def _kill_at_call(note: Path, nth: int, after: bool) -> None:
    """Have the process group killed at the n-th call that changes what MLflow has."""
    from mlflow.tracking import MlflowClient

    from tasks.tracking.mlflow_tables import Tables

    calls = 0

    def watched(owner: type, name: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            mine = calls == nth
            found = real(*arguments, **options) if after or not mine else None
            if mine:
                note.write_text(name)
                os.killpg(0, signal.SIGKILL)
                signal.pause()
            return found

        setattr(owner, name, call)

    watched(Tables, "write")
    for name in (
        "create_run",
        "log_batch",
        "set_terminated",
        "update_run",
        "log_artifact",
        "create_logged_model",
        "log_model_artifacts",
        "finalize_logged_model",
        "create_registered_model",
        "create_model_version",
        "set_registered_model_alias",
        "set_model_version_tag",
    ):
        watched(MlflowClient, name)


def _limit_database(pages: int) -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def limit(connection: sqlite3.Connection, record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            (count,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {count + pages}")

    event.listen(Engine, "connect", limit)


KINDS: dict[str, Kind] = {
    "kill-group": Kind("kill -9 of the whole group, at any moment", 30, kill_group),
    "kill-parent": Kind("kill -9 of the command alone", 18, kill_parent),
    "kill-worker": Kind("kill -9 of one worker", 18, kill_worker),
    "sigterm": Kind("SIGTERM", 10, sigterm),
    "sigint": Kind("Ctrl-C", 10, sigint),
    "kill-journal": Kind("kill -9 at a byte of the journal, or at its sync", 22, kill_journal),
    "kill-checkpoint": Kind("kill -9 at a byte of a checkpoint, or at its renaming", 10, kill_checkpoint),
    "kill-rows": Kind("kill -9 in the encoded rows", 6, kill_rows),
    "kill-out": Kind("kill -9 in an out", 14, kill_out),
    "kill-spool": Kind("kill -9 in what waits for MLflow", 10, kill_spool),
    "kill-mlflow": Kind("kill -9 between two calls to MLflow", 14, kill_mlflow),
    "kill-sync": Kind("kill -9 of `hone sync`", 5, kill_sync),
    "kill-commit": Kind("kill -9 between a stage and its commit to DVC, or in that", 14, kill_commit),
    "kill-flow": Kind("kill -9 of `hone tune`", 4, kill_flow, "prefect"),
    "second": Kind("the same command a second time, meanwhile", 5, second),
    "full-journal": Kind("disk full: journal", 6, full_journal),
    "full-checkpoint": Kind("disk full: checkpoints", 6, full_checkpoint),
    "full-out": Kind("disk full: outs", 8, full_out),
    "full-spool": Kind("disk full: what waits for MLflow", 6, full_spool),
    "full-mlflow": Kind("disk full: MLflow's database", 6, full_mlflow),
    "full-disk": Kind("disk full: the whole project", 10, full_disk, "mount"),
    "server-away": Kind("MLflow server: away at first", 4, server_away, "server"),
    "server-goes": Kind("MLflow server: goes away and comes back", 6, server_goes, "server"),
    "server-cuts": Kind("MLflow server: requests are cut", 4, server_cuts, "server"),
    "server-deaf": Kind("MLflow server: answers are cut", 6, server_deaf, "server"),
    "server-fails": Kind("MLflow server: answers 500", 4, server_fails, "server"),
    "server-slow": Kind("MLflow server: slow", 3, server_slow, "server"),
    "sqlite-lock": Kind("MLflow's database: locked by another process", 8, sqlite_lock),
    "torn-journal": Kind("damage: journal", 14, torn_journal),
    "torn-checkpoint": Kind("damage: checkpoints", 10, torn_checkpoint),
    "torn-rows": Kind("damage: encoded rows", 8, torn_rows),
    "torn-spool": Kind("damage: what waits for MLflow", 10, torn_spool),
    "torn-out": Kind("damage: outs of a former stage", 10, torn_out),
    "torn-lock": Kind("damage: the project's lock", 4, torn_lock),
    "torn-dvc": Kind("damage: DVC's lock file, locks and notes", 10, torn_dvc),
    "torn-prefect": Kind("damage: notes of former flows", 2, torn_prefect, "prefect"),
    "series": Kind("two to four of these on one run", 12, series),
}
