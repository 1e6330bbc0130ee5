"""What was done again beside what was recorded: the first difference in words, and how near the final numbers are."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hone.trial import Result

NETWORKS = ("tuned", "defaults")
RELATIVE = 0.01
"""By how much a metric of a model that trains no network may differ on another processor: sums in another order move
a few of boosting's splits."""


@dataclass(frozen=True)
class Near:
    """A metric of a model on the sealed rows, twice. allowed: the tolerance, in words."""

    model: str
    metric: str
    recorded: float | None
    made: float | None
    allowed: str
    within: bool


def nearness(recorded: Mapping[str, Any], made: Mapping[str, Any]) -> list[Near]:
    """Return how near two evaluation.json of `evaluate` are, one line for each metric of each model.

    A network's score must lie in the other one's interval, both ways round. What trains no network may differ by
    `RELATIVE` of its value. A model or metric that only one of them has is not near.
    """
    models = [name for name in made["intervals"] if not name.startswith("gain")]
    models += [name for name in recorded["intervals"] if not name.startswith("gain") and name not in models]
    found = []
    for model in models:
        ours, theirs = made.get(model, {}), recorded.get(model, {})
        for metric in dict.fromkeys([*ours, *theirs]):
            one, other = theirs.get(metric), ours.get(metric)
            there = model in made and model in recorded and metric in ours and metric in theirs
            if model in NETWORKS:
                spans = [content["intervals"].get(model, {}).get(metric) for content in (recorded, made)]
                within = there and _inside(other, spans[0]) and _inside(one, spans[1])
                allowed = "each in the other's interval"
            else:
                within = there and _close(one, other)
                allowed = f"{100 * RELATIVE:g} % of its value"
            found.append(Near(model, metric, one, other, allowed, within))
    return found


def trials_differ(recorded: Sequence[Result], made: Sequence[Result], *, whole: bool = True) -> str | None:
    """Return, in words, in what the first differing trial differs: its config, its curve or something else.

    None if none does. whole: whether all of a result was recorded, and not its config and curve alone.
    """
    for one, other in zip(recorded, made, strict=False):
        if one.trial.key != other.trial.key:
            return f"trial {other.trial.key} stands where {one.trial.key} was recorded"
        if (said := _config_differs(one, other) or _curve_differs(one, other)) or not whole:
            if said:
                return f"trial {one.trial.key}: {said}"
            continue
        for name, before in _facts(one).items():
            if not _same(before, after := _facts(other)[name]):
                return f"trial {one.trial.key}: {name} differs: {before} recorded, {after} here"
    if len(recorded) != len(made):
        return f"{len(recorded)} trials were recorded, and {len(made)} made"
    return None


def json_differs(recorded: Any, made: Any, where: str = "") -> str | None:
    """Return, in words, the first value in which two JSON contents differ; None if none does."""
    if isinstance(recorded, dict) and isinstance(made, dict):
        for key in sorted(recorded.keys() | made.keys()):
            place = f"{where}.{key}" if where else str(key)
            if key not in recorded or key not in made:
                return f"{place} is {'not recorded' if key not in recorded else 'missing here'}"
            if said := json_differs(recorded[key], made[key], place):
                return said
        return None
    if isinstance(recorded, list) and isinstance(made, list) and len(recorded) == len(made):
        pairs = (json_differs(a, b, f"{where}[{i}]") for i, (a, b) in enumerate(zip(recorded, made, strict=True)))
        return next((said for said in pairs if said), None)
    if _same(recorded, made):
        return None
    return f"{where}: {_short(recorded)} recorded, {_short(made)} here"


def listing_differs(recorded: Mapping[str, str], made: Mapping[str, str]) -> str | None:
    """Return the first file, in words, in which two folders differ, by the hashes of their files."""
    for name in sorted(recorded.keys() | made.keys()):
        if name not in made or name not in recorded:
            return f"{name} is {'not recorded' if name not in recorded else 'missing here'}"
        if recorded[name] != made[name]:
            return f"{name} has other bytes"
    return None


def listing(content: bytes) -> dict[str, str]:
    """Return the hash of each file of a folder, by its name, from what DVC keeps of the folder."""
    return {entry["relpath"]: entry["md5"] for entry in json.loads(content)}


def first_line_differs(recorded: Path, made: Path) -> str | None:
    """Return, in words, the first line in which two texts differ; None if none does."""
    texts = [path.read_text(encoding="utf-8").splitlines() for path in (recorded, made)]
    for i, (before, after) in enumerate(zip(*texts, strict=False), 1):
        if before != after:
            return f"line {i}: {_short(before)} recorded, {_short(after)} here"
    counts = [len(lines) for lines in texts]
    return None if counts[0] == counts[1] else f"{counts[0]} lines recorded, {counts[1]} here"


def _facts(result: Result) -> dict[str, object]:
    own = {f"its {each.name}": getattr(result, each.name) for each in fields(result) if each.name != "trial"}
    return {**own, **{f"the trial's {each.name}": getattr(result.trial, each.name) for each in fields(result.trial)}}


def _config_differs(one: Result, other: Result) -> str | None:
    before, after = one.trial.config, other.trial.config
    for name in sorted(before.keys() | after.keys()):
        if not _same(before.get(name), after.get(name)):
            return f"its config differs: {name} {before.get(name)} recorded, {after.get(name)} here"
    return None


def _curve_differs(one: Result, other: Result) -> str | None:
    for epoch, (before, after) in enumerate(zip(one.curve, other.curve, strict=False), 1):
        if not _same(before, after):
            return f"its curve differs from epoch {epoch} on: {before} recorded, {after} here"
    if len(one.curve) != len(other.curve):
        return f"its curve differs: {len(one.curve)} epochs recorded, {len(other.curve)} here"
    return None


def _same(one: object, other: object) -> bool:
    """Return whether two values are the same, where nan is itself."""
    if isinstance(one, tuple | list) and isinstance(other, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


def _inside(value: float | None, span: Sequence[float | None] | None) -> bool:
    low, high = span if span is not None else (None, None)
    if value is None or low is None or high is None:
        return value is low is high is None
    return low <= value <= high


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=RELATIVE)


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
