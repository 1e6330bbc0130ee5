"""The table at the end of a run: defaults against tuned on the sealed rows, and where to look next."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone import metrics
from tasks import files, wording
from tasks.reporting import Reporter

EVALUATION = "artifacts/evaluate/evaluation.json"
PROBLEM = "data/split/problem.json"
REPORT = "artifacts/report/report.html"
PARTS = ("defaults", "tuned", "gain")


@dataclass(frozen=True)
class Summary:
    """A table of texts, and sentences on what it comes to."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    findings: tuple[str, ...]


def read(root: Path) -> Summary | None:
    """Return the table of what `evaluate` found, the tuned metric first; None if it has not run."""
    if not (root / EVALUATION).exists() or not (root / PROBLEM).exists():
        return None
    found: dict[str, Any] = files.read_json(root / EVALUATION)
    metric = files.read_json(root / PROBLEM)["metric"]
    names = metrics.in_order(metric, found["tuned"])
    return Summary(
        title=f"Sealed test rows ({found['n_rows']:,})",
        columns=("metric", *PARTS),
        rows=tuple((wording.label(name), *(_cell(found, part, name) for part in PARTS)) for name in names),
        findings=tuple(finding["message"] for finding in found["findings"]),
    )


def show(summary: Summary, reporter: Reporter) -> None:
    """Show the table's first rows, what it comes to, and where there is more."""
    reporter.table(summary.title, summary.columns, summary.rows[: wording.SHOWN])
    for finding in summary.findings:
        reporter.message(finding)
    reporter.message(wording.NEXT)


def _cell(found: dict[str, Any], part: str, name: str) -> str:
    value = found.get(part, {}).get(name)
    bounds = found["intervals"].get(part, {}).get(name)
    return wording.DASH if value is None else wording.with_interval(value, bounds, sign=part == "gain")
