"""What a run tells the person in front of it: the reporter's face, one that is silent, and one of plain lines."""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

from hone.errors import printable
from tasks.tracking.uri import hidden


@dataclass(frozen=True, kw_only=True)
class GenerationInfo:
    """What is known when a generation ends.

    stage: the phase it belongs to. index: 0-based. n_trials: trials in this generation, n_failed of which
    diverged or failed. best: the incumbent's value of `metric` so far, in the metric's own direction; None
    while no trial is complete. spent, budget: of the whole phase, in epochs over all training rows.
    """

    stage: str
    index: int
    n_trials: int
    best: float | None
    metric: str
    spent: float
    budget: float
    n_failed: int = 0


class Reporter(Protocol):
    """Shows progress. Nothing it does can change a result, and it is called from one process only."""

    def stage_started(self, name: str) -> None:
        """Say that a stage begins."""

    def stage_finished(self, name: str, seconds: float, note: str = "") -> None:
        """Say that a stage is done, with what came of it in a few words."""

    def stage_skipped(self, name: str, note: str = "up to date") -> None:
        """Say that a stage need not run, and why."""

    def generation(self, info: GenerationInfo) -> None:
        """Show where the search stands after a generation."""

    def message(self, text: str) -> None:
        """Show a line."""

    def warning(self, text: str) -> None:
        """Show a line that needs attention."""

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table; cells are texts, already formatted."""

    def close(self) -> None:
        """Leave the terminal tidy. May be called twice."""


class NullReporter:
    """Says nothing."""

    def stage_started(self, name: str) -> None: ...

    def stage_finished(self, name: str, seconds: float, note: str = "") -> None: ...

    def stage_skipped(self, name: str, note: str = "up to date") -> None: ...

    def generation(self, info: GenerationInfo) -> None: ...

    def message(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None: ...

    def close(self) -> None: ...


class PlainReporter:
    """One plain line per event, for logs and pipes. stream: None is whatever sys.stdout is at the time."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._lock = threading.Lock()  # a flow's tasks report from threads; lines must not mix

    def stage_started(self, name: str) -> None:
        self._write(f"{name}: started")

    def stage_finished(self, name: str, seconds: float, note: str = "") -> None:
        self._write(f"{name}: done in {duration(seconds)}" + (f", {note}" if note else ""))

    def stage_skipped(self, name: str, note: str = "up to date") -> None:
        self._write(f"{name}: {note}")

    def generation(self, info: GenerationInfo) -> None:
        self._write(f"{info.stage}: {describe(info)}")

    def message(self, text: str) -> None:
        self._write(text)

    def warning(self, text: str) -> None:
        self._write(f"warning: {text}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        self._write("\n" + plain_table(title, columns, rows))

    def close(self) -> None: ...

    def _write(self, text: str) -> None:
        with self._lock:
            print(plain(text), file=self._stream or sys.stdout, flush=True)


def describe(info: GenerationInfo) -> str:
    """Return one line on where a search stands, e.g. ``generation 3, best accuracy 0.9812, 120 of 750 epochs``."""
    best = "none complete yet" if info.best is None else f"best {info.metric} {info.best:.4f}"
    failed = f", {info.n_failed} of {info.n_trials} trials failed" if info.n_failed else ""
    return f"generation {info.index + 1}, {best}, {info.spent:.0f} of {info.budget:.0f} epochs{failed}"


def duration(seconds: float) -> str:
    """Return a length of time as people say it: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plain(text: str) -> str:
    """Return a text as it may be shown: without secrets, and with what a terminal would obey escaped."""
    return printable(hidden(text))


def plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as lines of text: the first column to the left, the others to the right."""
    lines = [tuple(printable(cell.replace("\n", "\\n")) for cell in row) for row in (columns, *rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    rendered = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join(
        [*([title] if title else []), rendered[0].rstrip(), rule, *(line.rstrip() for line in rendered[1:])]
    )
