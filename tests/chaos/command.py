"""The command: draw faults from a seed, let them happen in some processes at once, and print what became of them."""

import argparse
import contextlib
import math
import multiprocessing.connection
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from tests.chaos import processes, servers, world
from tests.chaos.kinds import KINDS
from tests.chaos.servers import Proxy
from tests.chaos.stand import LostError, MissedError, Stand
from tests.chaos.world import World

ATTEMPTS = 5
"""How often a fault is drawn again that came after the end."""
VERDICTS = ("not equal", "exception", "MLflow", "child left", "lock")


@dataclass(frozen=True)
class Verdict:
    """What became of one case: how many faults happened in it, and what was lost, if anything."""

    kind: str
    number: int
    faults: int
    lost: str | None
    text: str
    story: str
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line's faults; return 0 if nothing was lost, else 1."""
    asked = _parsed(arguments)
    started = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="hone-chaos-", dir=asked.place))
    verdicts: list[Verdict] = []
    try:
        cases = run(place, asked.faults, asked.seed, asked.jobs, asked.only, each=asked.each, quick=asked.quick)
        for verdict in cases:
            verdicts.append(verdict)
            if asked.verbose or verdict.lost:
                print(_line(verdict, asked.seed), flush=True)
    finally:
        _unmount(place)
        if asked.keep or any(verdict.lost for verdict in verdicts):
            print(f"kept: {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)
    seconds = time.monotonic() - started
    print("\n".join(markdown(verdicts) if asked.markdown else table(verdicts)))
    n = sum(verdict.faults for verdict in verdicts)
    lost = [verdict for verdict in verdicts if verdict.lost]
    print(f"{n} faults in {len(verdicts)} runs, {len(lost)} lost; seed {asked.seed}, {seconds / 60:.1f} minutes")
    for name in sorted(KINDS.keys() - set(_possible(asked.only))):
        if asked.only is None:
            print(f"not tried: {name} ({KINDS[name].says}): no file system can be mounted here")
    return 1 if lost else 0


def run(
    place: Path,
    faults: int,
    seed: int,
    jobs: int,
    only: Sequence[str] | None = None,
    *,
    each: int | None = None,
    quick: bool = False,
) -> Iterator[Verdict]:
    """Yield what became of cases, as they end, until so many faults have happened.

    only: names of kinds, or of cases: `kind#number`. each: so many cases of each kind instead. quick: see `World`.
    """
    processes.preload()
    names = _possible(only)
    if quick and only is None:
        names = [name for name in names if KINDS[name].needs != "prefect"]
    needs = {KINDS[name.partition("#")[0]].needs for name in names}
    with _world(place, needs, quick) as everything:
        yield from _cases(everything, _order(names, seed, each), faults if each is None else math.inf, seed, jobs)


def _unmount(place: Path) -> None:
    """Let go of small disks that a job which was ended has left."""
    if sys.platform == "linux":
        for line in Path("/proc/mounts").read_text().splitlines():
            if (folder := line.split()[1]).startswith(f"{place}/"):
                subprocess.run(["umount", "-l", folder], check=False)


def _possible(only: Sequence[str] | None) -> list[str]:
    """Return the kinds, or the cases, that were asked for, less those that this machine does not allow."""
    if only is not None:
        return list(only)
    return [name for name, kind in KINDS.items() if kind.needs != "mount" or _mounts()]


def _mounts() -> bool:
    return os.geteuid() == 0 and sys.platform == "linux" and shutil.which("mount") is not None and _can_mount()


def _can_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4k", "chaos", folder], capture_output=True, check=False
        )
        return done.returncode == 0 and subprocess.run(["umount", folder], check=False).returncode == 0


@contextlib.contextmanager
def _world(place: Path, needs: set[str | None], quick: bool) -> Iterator[World]:
    """Yield the undisturbed run, and the servers that are needed."""
    ports = {name: servers.free_port() for name in ("server", "prefect") if name in needs}
    with contextlib.ExitStack() as stack:
        # They start while the project is run.
        waits = []
        if "server" in ports:
            waits.append(stack.enter_context(servers.mlflow(place / "server", ports["server"])))
        if "prefect" in ports:
            waits.append(stack.enter_context(servers.prefect(place / "prefect-server", ports["prefect"])))
        names, seconds = world.build(place, quick=quick)
        for wait in waits:
            wait()
        api = f"http://127.0.0.1:{ports['prefect']}/api" if "prefect" in ports else None
        yield World(place, names, seconds, api=api, server=ports.get("server"), quick=quick)


def _order(names: Sequence[str], seed: int, each: int | None) -> Iterator[tuple[str, int]]:
    """Yield cases: a kind, and its number among those of its kind."""
    if all("#" in name for name in names):
        for name in names:
            kind, _, number = name.partition("#")
            yield kind, int(number)
        return
    if each is not None:
        for name in names:
            yield from ((name, number) for number in range(each))
        return
    numbers = dict.fromkeys(names, 0)
    rng = random.Random(f"{seed}: order")
    while True:
        deck = [name for name in names for _ in range(KINDS[name].share)]
        rng.shuffle(deck)
        for name in deck:
            yield name, numbers[name]
            numbers[name] += 1


def _cases(everything: World, order: Iterator[tuple[str, int]], faults: int, seed: int, jobs: int) -> Iterator[Verdict]:
    # The undisturbed run is looked at once, and not by each job.
    _ = everything.hashes, everything.facts, everything.trials
    workers = {connection: pid for pid, connection in (_job(everything, seed) for _ in range(jobs))}
    happened, busy = 0, set[Connection]()
    try:
        for connection in workers:
            _give(connection, order, busy)
        while busy:
            for ready in multiprocessing.connection.wait(list(busy)):
                assert isinstance(ready, Connection)
                verdict: Verdict = ready.recv()
                busy.discard(ready)
                happened += verdict.faults
                yield verdict
                if happened < faults:
                    _give(ready, order, busy)
    finally:
        for connection, pid in workers.items():
            connection.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def _give(connection: Connection, order: Iterator[tuple[str, int]], busy: set[Connection]) -> None:
    if (case := next(order, None)) is not None:
        connection.send(case)
        busy.add(connection)


def _job(everything: World, seed: int) -> tuple[int, Connection]:
    """Return a process that tries the cases it is sent, and the way to it."""
    ours, theirs = multiprocessing.Pipe()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    ours.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    proxies: list[Proxy] = []

    def proxy() -> Proxy:
        if not proxies:
            assert everything.server is not None
            proxies.append(Proxy(everything.server))
        return proxies[0]

    with contextlib.suppress(EOFError):
        while True:
            kind, number = theirs.recv()
            folder = everything.place / "cases" / f"{kind}-{number}"
            stand = Stand(everything, folder, random.Random(f"{seed}: {kind} {number}"), proxy)
            theirs.send(judge(stand, kind, number))
    for one in proxies:
        one.close()
    os._exit(0)


def judge(stand: Stand, kind: str, number: int) -> Verdict:
    """Let a fault happen, and return what became of it."""
    started = time.monotonic()
    lost, text = None, ""
    try:
        for _ in range(ATTEMPTS):
            stand.hits = 0
            try:
                KINDS[kind].play(stand)
                break
            except MissedError:
                continue
        stand.finish()
    except LostError as error:
        lost, text = error.verdict, str(error)
    except Exception:
        lost, text = "exception", f"in the test itself: {traceback.format_exc()}"
    finally:
        stand.close()
    if lost is None:
        shutil.rmtree(stand.folder, ignore_errors=True)
    story = ", ".join(stand.story)
    return Verdict(kind, number, max(stand.hits, int(lost is not None)), lost, text, story, time.monotonic() - started)


def table(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the lines of a table for a terminal."""
    rows = [("fault", "faults", "survived", "lost"), *_rows(verdicts)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(row, widths, strict=True)) for row in rows)
    ]


def markdown(verdicts: Sequence[Verdict]) -> list[str]:
    """Return the lines of a table in Markdown."""
    rows = [("fault", "faults", "survived", "lost"), ("---", "---:", "---:", "---"), *_rows(verdicts)]
    return [f"| {' | '.join(row)} |" for row in rows]


def _rows(verdicts: Sequence[Verdict]) -> list[tuple[str, str, str, str]]:
    rows = []
    total = [0, 0, 0]
    for name, kind in KINDS.items():
        of_kind = [verdict for verdict in verdicts if verdict.kind == name]
        if not of_kind:
            continue
        faults = sum(verdict.faults for verdict in of_kind)
        gone = sum(verdict.faults for verdict in of_kind if verdict.lost)
        total = [total[0] + faults, total[1] + faults - gone, total[2] + gone]
        why = {lost: sum(verdict.lost == lost for verdict in of_kind) for lost in VERDICTS}
        said = ", ".join(f"{n} × {lost}" for lost, n in why.items() if n)
        rows.append(
            (f"{name}: {kind.says}", str(faults), str(faults - gone), f"{gone}" + (f" ({said})" if said else ""))
        )
    return [*rows, ("all", *map(str, total))]


def _line(verdict: Verdict, seed: int) -> str:
    case = f"{verdict.kind}#{verdict.number}"
    if verdict.lost is None:
        return f"{case}: survived {verdict.faults} in {verdict.seconds:.1f} s: {verdict.story}"
    again = f"python -m tests.chaos --seed {seed} --only '{case}'"
    return f"{case}: LOST, {verdict.lost}: {verdict.text}\n  {verdict.story}\n  again: {again}"


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Try Hone by faults.")
    parser.add_argument("--faults", type=int, default=300, help="how many, at least (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="draws them (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (default: 2)")
    parser.add_argument(
        "--only",
        type=lambda text: text.split(","),
        help=f"kinds, or cases as `kind#number`, with commas between them: {', '.join(KINDS)}",
    )
    parser.add_argument("--each", type=int, help="so many cases of each kind, instead of so many faults")
    parser.add_argument("--quick", action="store_true", help="spare what takes longest: new processes, DVC, Prefect")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--verbose", action="store_true", help="a line for each case, not only for those that are lost")
    parser.add_argument("--keep", action="store_true", help="keep the folder; it is kept anyway if something is lost")
    parser.add_argument("--place", type=Path, help="where the folder is made (default: the temporary folder)")
    asked = parser.parse_args(arguments)
    unknown = [name for name in asked.only or () if name.partition("#")[0] not in KINDS]
    if unknown:
        parser.error(f"--only: no kind is called {', '.join(unknown)}")
    return asked
