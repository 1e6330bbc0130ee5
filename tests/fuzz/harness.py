"""Runs generated cases and sorts what comes of them: it ran, it was refused in one clear line, or it is a fault."""

import contextlib
import os
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hone.errors import UserError

ROOT = Path(__file__).parents[2]
LONGEST = 1000  # characters of a line that a person reads
SECONDS = 120  # after which a case counts as one that never ends

Kind = Literal["ran", "refused", "fault"]


# Hypothesis prefers what is small, and would make nearly every table an empty one: what is to be there in a share of
# the cases is left to these. They are seeded by it, so that the same seed gives the same cases.
dice = st.randoms(use_true_random=True)


@dataclass(frozen=True)
class Outcome:
    """What came of a case. what: of a fault its place and type, so that equal faults are equal; else the message."""

    kind: Kind
    what: str = ""
    detail: str = ""


def outcome(work: Callable[[], object], lines: int = 1) -> Outcome:
    """Do the work of a case; return what came of it. lines: as many as a refusal may have."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            work()
    except UserError as error:
        if why := unclear(str(error), lines):
            return Outcome("fault", f"unclear refusal: {why} ({_place(error)})", repr(str(error))[:400])
        return Outcome("refused", str(error))
    except Exception as error:
        return Outcome("fault", f"{type(error).__name__} in {_place(error)}", _shown(error))
    return Outcome("ran")


def unclear(message: str, lines: int = 1) -> str:
    """Return what keeps a refusal from being clear; nothing if it is."""
    found = message.split("\n")
    if not message.strip() or any(not line.strip() for line in found):
        return "a line is empty"
    if len(found) > lines:
        return f"{len(found)} lines"
    if max(map(len, found)) > LONGEST:
        return "a line is too long to read"
    if any(not character.isprintable() for line in found for character in line):
        return "it holds characters that cannot be printed"
    return ""


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_ours(frame.filename)]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.relpath(last.filename, ROOT)}:{last.lineno}"


def _is_ours(file: str) -> bool:
    return any(file.startswith(f"{ROOT / floor}/") for floor in ("hone", "tasks", "flows"))


def _shown(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-3000:]


@dataclass
class Tally:
    """How many cases ran, were refused and failed; of each fault how often, and its shortest case."""

    name: str
    ran: int = 0
    refused: int = 0
    faults: dict[str, tuple[int, str, str]] = field(default_factory=dict)

    def add(self, found: Outcome, case: object) -> None:
        """Count an outcome."""
        if found.kind == "ran":
            self.ran += 1
        elif found.kind == "refused":
            self.refused += 1
        else:
            times, shortest, detail = self.faults.get(found.what, (0, "", ""))
            shown = repr(case)
            if not times or len(shown) < len(shortest):
                shortest, detail = shown, found.detail
            self.faults[found.what] = (times + 1, shortest, detail)

    @property
    def failed(self) -> int:
        """Return how many cases were faults."""
        return sum(times for times, _, _ in self.faults.values())


def tally(
    name: str,
    cases: SearchStrategy[Any],
    run: Callable[[Any], Outcome],
    n: int,
    *,
    number: int | None = None,
    alarm: bool = False,
) -> Tally:
    """Return what came of so many cases. number: the seed; None: the same cases always. alarm: end what hangs."""
    found = Tally(name)

    @settings(
        max_examples=n,
        deadline=None,
        database=None,
        derandomize=number is None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def one(case: Any) -> None:
        with _alarm() if alarm else contextlib.nullcontext():
            found.add(run(case), case)

    (one if number is None else seed(number)(one))()
    return found


@contextlib.contextmanager
def _alarm() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeoutError(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
