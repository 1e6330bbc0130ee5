"""The tables at the end of a run: defaults against tuned on the sealed rows, and where to look next."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import files, scoreboard, wording
from tasks.reporting import Reporter

EVALUATION = "artifacts/evaluate/evaluation.json"
REPORT = "artifacts/report/report.html"


@dataclass(frozen=True)
class Summary:
    """A table of texts, what its numbers are, and sentences on what it comes to."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    findings: tuple[str, ...]
    convention: str | None = None


def read(root: Path) -> Summary | None:
    """Return the table of what `evaluate` found, the tuned metric first; None if it has not run."""
    if not (root / EVALUATION).exists():
        return None
    found: dict[str, Any] = files.read_json(root / EVALUATION)
    table = scoreboard.by_metric(found)
    findings = tuple(finding["message"] for finding in found["findings"])
    return Summary(table.title, table.columns, table.rows, findings, found["convention"])


def show(summary: Summary, reporter: Reporter) -> None:
    """Show the table's first rows, what it comes to, and where there is more."""
    reporter.table(summary.title, summary.columns, summary.rows[: wording.SHOWN])
    if summary.convention is not None:
        reporter.message(summary.convention)
    for finding in summary.findings:
        reporter.message(finding)
    reporter.message(wording.NEXT)
