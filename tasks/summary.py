"""What a person reads at the end of a run: rivals and remarks first, then verdict, table, and where to look next.

All of it comes from files, so that a run that had nothing to do says the same as the one that did the work.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import files, scoreboard, wording
from tasks.reporting import Reporter

EVALUATION = "artifacts/evaluate/evaluation.json"
REPORT = "artifacts/report/report.html"
WINNER = "artifacts/search_hyperband/winner.json"
BASELINE = "artifacts/baseline/metrics.json"


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


def show(root: Path, reporter: Reporter) -> None:
    """Show all that `evaluate` found, what matters most last; nothing if it has not run."""
    if (summary := read(root)) is None:
        return
    found: dict[str, Any] = files.read_json(root / EVALUATION)
    winner = files.read_json(root / WINNER) if (root / WINNER).exists() else None
    if winner is not None and (root / BASELINE).exists():
        rows = _on_validation(files.read_json(root / BASELINE), winner, found["metric"])
        most = max(one["n"] for _, one in wording.networks(winner))
        replays = "mean of replays, all at one epoch" if most > 1 else "one replay each"
        title = f"Validation rows, {wording.label(found['metric'])}; networks: {replays}"
        reporter.table(title, ("model", "score"), rows)
    for table in (scoreboard.by_class(found), scoreboard.rivals(found)):
        if table is not None:
            reporter.table(table.title, table.columns, table.rows)
    verdict, *others = found["findings"]
    for finding in others:
        _say(finding, reporter)
    for edge in winner["edges"] if winner is not None else ():
        reporter.message(edge["message"])
    _say(verdict, reporter)
    reporter.table(summary.title, summary.columns, summary.rows[: wording.SHOWN])
    left = len(summary.rows) - wording.SHOWN
    more = f"The report has {wording.plural(left, 'more metric')}." if left > 0 else None
    if about := " ".join(text for text in (summary.convention, more) if text):
        reporter.message(about)
    reporter.message(wording.NEXT)


def _say(finding: Mapping[str, str], reporter: Reporter) -> None:
    (reporter.warning if finding["severity"] == "warning" else reporter.message)(finding["message"])


def _on_validation(baseline: Mapping[str, Any], winner: Mapping[str, Any], metric: str) -> list[tuple[str, str]]:
    """Return name and score of each model on the validation rows, the best searched config last."""
    names = [name for name in wording.VALIDATED if name in baseline]
    rows = [(wording.model(name), wording.number(baseline[name].get(metric))) for name in names]
    return rows + [(name, wording.with_std(one["value"], one["std"])) for name, one in wording.networks(winner)]
