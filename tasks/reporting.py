"""What a run tells the person in front of it: the reporter's face, one that is silent, and one of plain lines."""

import re
import shutil
import sys
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

from hone.errors import printable
from tasks.tracking.uri import hidden


@dataclass(frozen=True, kw_only=True)
class GenerationInfo:
    """What is known when a generation ends.

    stage: the phase it belongs to. index: 0-based. n_trials: trials of the phase so far, n_failed of which
    diverged or failed. best: the incumbent's value of `metric` so far, in the metric's own direction; None
    while no trial is complete. spent, budget: of the whole phase, in epochs over all training rows.
    done: share of the whole search's budget that is spent, 0 to 1; None in phases that spend nothing of it.
    until: when the run's time limit ends, in seconds of `time.monotonic`; None without a limit.
    """

    stage: str
    index: int
    n_trials: int
    best: float | None
    metric: str
    spent: float
    budget: float
    n_failed: int = 0
    done: float | None = None
    until: float | None = None


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
        self._write("\n" + plain_table(title, columns, rows, shutil.get_terminal_size().columns))

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


def plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None) -> str:
    """Return a table as lines of text: the first column to the left, the others to the right.

    width: columns of the terminal; None is as many as the table takes. See `table_blocks`.
    """
    title = plain(title)
    lines = [] if not title else [title] if width is None else wrapped(title, width)
    for number, block in enumerate(table_blocks(columns, rows, width)):
        lines += [*([""] if number else []), *block]
    return "\n".join(lines)


def table_blocks(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None = None
) -> Iterator[list[str]]:
    """Yield a table's lines, its header and a rule first, in one block or, where that is too wide, in several.

    Cells are wrapped first between words, then within words, never within a number or an interval. Where that is not
    enough, each block has the first column and some of the others. Secrets are hidden before: half of one on each line
    could not be recognised.
    """
    cells = [[_unbroken(plain(cell.replace("\n", "\\n"))) for cell in line] for line in (columns, *rows)]
    by_column = [list(column) for column in zip(*cells, strict=True)]
    for chosen in _chunks(by_column, width):
        widths = _widths(chosen, width)
        lines: list[str] = []
        for number, line in enumerate(zip(*chosen, strict=True)):
            parts = [wrapped(cell, each) for cell, each in zip(line, widths, strict=True)]
            for i in range(max(map(len, parts))):
                texts = [part[i] if i < len(part) else "" for part in parts]
                padded = [
                    text + " " * (each - n_cells(text)) if place == 0 else " " * (each - n_cells(text)) + text
                    for place, (text, each) in enumerate(zip(texts, widths, strict=True))
                ]
                lines.append(GAP.join(padded).rstrip().replace(NO_BREAK, " "))
            if number == 0:
                lines.append(GAP.join("-" * each for each in widths))
        yield lines


GAP = "  "
NO_BREAK = "\u00a0"
SHORTEST = 12
"""Cells of a terminal below which a column of words is not narrowed."""
_NUMBERS = re.compile(
    r"\[[−+\-\d., ∞%–]*\]|(?<=\d) (?:±|%|s|min|h)(?!\w)|(?<=±) (?=\d)|(?<=\bmin) (?=\d\d s)|(?<=\bh) (?=\d\d min)"
)


def n_cells(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def wrapped(text: str, width: int) -> list[str]:
    """Return a text in lines of at most so many cells, broken between words, or within one that is longer."""
    lines = [""]
    for word in text.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if n_cells(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for letter in word:
            if n_cells(lines[-1] + letter) > width and lines[-1]:
                lines.append("")
            lines[-1] += letter
    return lines


def _unbroken(text: str) -> str:
    """Return a text in which an interval, a deviation or a number's unit is one word with its number."""
    return _NUMBERS.sub(lambda found: found[0].replace(" ", NO_BREAK), text)


def _least(column: Sequence[str], folded: bool) -> int:
    """Return to how many cells a column can be narrowed. folded: whether long words without a digit may be broken."""
    words = [word for cell in column for word in cell.split(" ")]
    return max(
        n_cells(word) if not folded or any(map(str.isdigit, word)) else min(SHORTEST, n_cells(word)) for word in words
    )


def _chunks(columns: Sequence[Sequence[str]], width: int | None) -> Iterator[list[Sequence[str]]]:
    """Yield groups of columns that can be narrowed to a width, each group with the first column."""
    first, *others = columns
    chunk = [first]
    for column in others:
        taken = sum(_least(one, True) for one in (*chunk, column)) + len(GAP) * len(chunk)
        if width is not None and taken > width and len(chunk) > 1:
            yield chunk
            chunk = [first]
        chunk.append(column)
    yield chunk


def _widths(columns: Sequence[Sequence[str]], width: int | None) -> list[int]:
    """Return the cells of each column such that all fit, with as few lines as a greedy choice gives."""
    widths = [max(map(n_cells, column)) for column in columns]
    for folded in (False, True):
        least = [_least(column, folded) for column in columns]
        while width is not None and (excess := sum(widths) + len(GAP) * (len(widths) - 1) - width) > 0:
            choices = [
                (_height(columns, [*widths[:i], narrow, *widths[i + 1 :]]), narrow - widths[i], i, narrow)
                for i in range(len(widths))
                if (narrow := max(least[i], widths[i] - excess)) < widths[i]
            ]
            if not choices:
                break
            *_, i, narrow = min(choices)
            widths[i] = max(n_cells(line) for cell in columns[i] for line in wrapped(cell, narrow))
    return widths


def _height(columns: Sequence[Sequence[str]], widths: Sequence[int]) -> int:
    heights = [[len(wrapped(cell, each)) for cell in column] for column, each in zip(columns, widths, strict=True)]
    return sum(map(max, zip(*heights, strict=True)))
