"""Tables of what the sealed rows say, from evaluation.json, at most 80 characters wide."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hone import metrics
from tasks import wording

MOST_CLASSES = 10
LONGEST = 32  # characters of a class's name


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def by_metric(found: Mapping[str, Any]) -> Table:
    """Return the delivered model beside the defaults, a row a metric, the problem's first. found: evaluation.json."""
    names = metrics.in_order(found["metric"], found["tuned"])
    share = f"{100 * found['confidence']:g} %"
    return Table(
        f"Sealed test rows ({found['n_rows']:,}), {share} intervals; a positive gain is better",
        ("metric", "defaults", wording.delivered(found), "gain"),
        tuple(
            (
                wording.label(name),
                # Without its interval, for which there is no room: the gain's is the one that compares.
                wording.number(found.get("defaults", {}).get(name), _places(found, "tuned", name)),
                cell(found, "tuned", name),
                cell(found, "gain", name),
            )
            for name in names
        ),
    )


def rivals(found: Mapping[str, Any]) -> Table | None:
    """Return the models that train no network, in the problem's metric; None if none could be fitted."""
    metric = found["metric"]
    rows = tuple(
        (wording.model(name), cell(found, name, metric), cell(found, f"gain_over_{name}", metric))
        for name in wording.RIVALS
        if name in found
    )
    title = f"Sealed test rows, {wording.label(metric)}: rivals, fitted to the network's rows"
    return Table(title, ("model", "score", "network's gain"), rows) if rows else None


def by_class(found: Mapping[str, Any], most: int | None = MOST_CLASSES) -> Table | None:
    """Return precision, recall, F1 and support of each class, or of so many of the commonest; None for values."""
    classes: Sequence[Mapping[str, Any]] = found["per_class"]
    if not classes:
        return None
    shown = classes
    if most is not None and len(classes) > most:
        commonest = sorted(range(len(classes)), key=lambda i: (-classes[i]["support"], i))[:most]
        shown = [classes[i] for i in sorted(commonest)]
    which = "" if len(shown) == len(classes) else f" (the {len(shown)} commonest of {len(classes)})"
    rows = tuple(
        (
            _shortened(one["class"]),
            *(wording.number(one[name], 3) for name in ("precision", "recall", "f1")),
            f"{one['support']:,}",
        )
        for one in shown
    )
    return Table(f"Sealed test rows by class{which}", ("class", "precision", "recall", "F1", "support"), rows)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _places(found: Mapping[str, Any], part: str, name: str) -> int | None:
    low, high = found["intervals"][part].get(name) or (None, None)
    return wording.decimals(low, high, found[part].get(name))


def cell(found: Mapping[str, Any], part: str, name: str) -> str:
    """Return a metric of a part of evaluation.json with its interval, e.g. of "tuned"; gains with their signs."""
    value = found.get(part, {}).get(name)
    bounds = found["intervals"].get(part, {}).get(name)
    return wording.DASH if value is None else wording.with_interval(value, bounds, sign=part.startswith("gain"))
