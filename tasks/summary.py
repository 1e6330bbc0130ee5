"""What a person reads at the end of a run: rivals and remarks first, then verdict, table, and where to look next.

All of it comes from files, so that a run that had nothing to do says the same as the one that did the work.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hone import metrics
from tasks import files, wording
from tasks.reporting import Reporter

EVALUATION = "artifacts/evaluate/evaluation.json"
PROBLEM = "data/split/problem.json"
REPORT = "artifacts/report/report.html"
WINNER = "artifacts/search_hyperband/winner.json"
BASELINE = "artifacts/baseline/metrics.json"
PARTS = ("defaults", "tuned", "gain")
RIVALS = ("constant", "linear", "boosting", "boosting_tuned")
"""Models on the sealed rows that are no networks, from the simplest on."""
MOST_CLASSES = 10


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
    confidence = f"{100 * found['confidence']:g}"
    return Summary(
        title=f"Sealed test rows ({found['n_rows']:,}), with {confidence} % intervals",
        columns=("metric", *PARTS),
        rows=tuple((wording.label(name), *(_cell(found, part, name) for part in PARTS)) for name in names),
        findings=tuple(finding["message"] for finding in found["findings"]),
    )


def show(root: Path, reporter: Reporter) -> None:
    """Show all that `evaluate` found, what matters most last; nothing if it has not run."""
    if (summary := read(root)) is None:
        return
    found: dict[str, Any] = files.read_json(root / EVALUATION)
    metric: str = files.read_json(root / PROBLEM)["metric"]
    label = wording.label(metric)
    if rows := _on_validation(root, metric):
        reporter.table(f"Validation rows, {label}", ("model", "score"), rows)
    if rows := _rivals(found, metric):
        title = f"Sealed test rows, {label}, against models fitted to training and validation rows"
        reporter.table(title, ("model", "score", "network's gain"), rows)
    if classes := found.get("per_class"):
        _show_classes(classes, reporter)
    verdict, *others = found["findings"]
    for finding in others:
        _say(finding, reporter)
    _say(verdict, reporter)
    reporter.table(summary.title, summary.columns, summary.rows[: wording.SHOWN])
    reporter.message(wording.NEXT)


def _say(finding: Mapping[str, str], reporter: Reporter) -> None:
    (reporter.warning if finding["severity"] == "warning" else reporter.message)(finding["message"])


def _on_validation(root: Path, metric: str) -> list[tuple[str, ...]]:
    """Return name and score of each model on the validation rows, the tuned config last."""
    if not (root / BASELINE).exists() or not (root / WINNER).exists():
        return []
    baseline, winner = files.read_json(root / BASELINE), files.read_json(root / WINNER)
    names = [name for name in ("dummy", "linear", "boosting", "boosting_tuned") if name in baseline]
    rows: list[tuple[str, ...]] = [(wording.model(name), wording.number(baseline[name].get(metric))) for name in names]
    # Both from the replays: the same seeds, each config at its one epoch.
    for name, score in (("network, defaults", winner["default"]), ("network, tuned", winner)):
        rows.append((name, wording.with_std(score["value"], score["std"])))
    return rows


def _rivals(found: Mapping[str, Any], metric: str) -> list[tuple[str, ...]]:
    """Return name, score and the network's gain over each rival that was scored on the sealed rows."""
    return [
        (wording.model(name), _cell(found, name, metric), _cell(found, f"gain_over_{name}", metric))
        for name in RIVALS
        if name in found
    ]


def _show_classes(classes: Iterable[Mapping[str, Any]], reporter: Reporter) -> None:
    """Show precision, recall and F1 of each class; of many classes, those with the lowest F1."""
    listed = list(classes)
    title = "Each class, on the sealed test rows"
    if len(listed) > MOST_CLASSES:
        title = f"The {MOST_CLASSES} classes of {len(listed)} with the lowest F1, on the sealed test rows"
        listed = sorted(listed, key=lambda one: (one["f1"] is not None, one["f1"]))[:MOST_CLASSES]
    rows = [
        (
            str(one["class"]),
            *(wording.number(one[name], 3) for name in ("precision", "recall", "f1")),
            f"{one['support']:,}",
        )
        for one in listed
    ]
    reporter.table(title, ("class", "precision", "recall", "F1", "rows"), rows)


def _cell(found: Mapping[str, Any], part: str, name: str) -> str:
    value = found.get(part, {}).get(name)
    bounds = found["intervals"].get(part, {}).get(name)
    return wording.DASH if value is None else wording.with_interval(value, bounds, sign=part.startswith("gain"))
