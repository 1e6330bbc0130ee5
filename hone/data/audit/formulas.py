"""Columns from which the target can be computed: those that add up to it, or multiply to it."""

import numpy as np
from numpy.typing import NDArray

from hone.data.audit.findings import Finding, drop, finding, named
from hone.data.audit.sample import Sample

EXACT = 0.9999  # R2, on rows not fitted to: what remains is rounding
FEWEST_ROWS = 30
ROWS_PER_COLUMN = 3
MOST_MISSING = 0.3
MOST_FACTORS = 4
MOST_SHOWN = 4
WHOLE = 0.01

Array = NDArray[np.float64]


def formulas(sample: Sample) -> list[Finding]:
    """Return the fewest columns from which a formula gives the target, if there are such; of numbers alone.

    A line is fitted by least squares to half of the rows and judged on the others; columns are taken away, those
    that contribute least first, for as long as it stays exact. Products and ratios are lines of logarithms.
    """
    if sample.problem.classes is not None:
        return []
    columns = {
        name: features[0].values
        for name, features in sample.columns.items()
        if len(features) == 1 and not features[0].levels
    }
    target = sample.problem.target
    if (weights := _exact(columns, sample.target, sample.alone)) is not None:
        names, formula = list(weights), _sum(weights)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = {name: np.where(values > 0, np.log(values), np.nan) for name, values in columns.items()}
            log_target = np.where(sample.target > 0, np.log(sample.target), np.nan)
        powers = _exact(logs, log_target, sample.alone)
        if powers is None or len(powers) > MOST_FACTORS:
            return []
        if any(abs(power - round(power)) > WHOLE or round(power) == 0 for power in powers.values()):
            return []
        names, formula = list(powers), _product(powers)
    if len(names) < 2:
        return []
    if len(names) > MOST_SHOWN:
        formula = f"a weighted sum of {named(names, 3)}"
    message = f"{target!r} can be computed: it is {formula}. Known before it is? If not, {drop(names)}"
    return [finding("leak_formula", "warning", names, message, len(names))]


def _exact(columns: dict[str, Array], target: Array, skill: dict[str, float]) -> dict[str, float] | None:
    """Return the weight of each column that a line needs, those that are added first; None if no line is exact."""
    usable = {
        name: values
        for name, values in columns.items()
        if np.isnan(values).mean() <= MOST_MISSING and np.nanmax(values) > np.nanmin(values)
    }
    if not usable:
        return None
    complete = ~np.isnan(target) & ~np.any([np.isnan(values) for values in usable.values()], axis=0)
    n_rows = int(complete.sum())
    if n_rows < FEWEST_ROWS:
        return None
    names = sorted(usable, key=lambda name: -skill[name])[: n_rows // ROWS_PER_COLUMN]
    x = np.column_stack([usable[name][complete] for name in names])
    x, y = x - x.mean(axis=0), target[complete] - target[complete].mean()
    spread = x.std(axis=0)
    x = x / np.where(spread > 0, spread, 1.0)
    kept = np.flatnonzero(spread > 0)
    if y.std() == 0 or not _fits(x[:, kept], y):
        return None
    for column in kept[np.argsort(np.abs(_line(x[:, kept], y)))]:
        fewer = kept[kept != column]
        if len(fewer) and _fits(x[:, fewer], y):
            kept = fewer
    weights = _line(x[:, kept], y)
    found = {names[column]: float(weight / spread[column]) for column, weight in zip(kept, weights, strict=True)}
    # as people write it: what is added first, in the table's order
    return {name: found[name] for name in sorted(usable, key=lambda name: found.get(name, 0.0) < 0) if name in found}


def _line(x: Array, y: Array) -> Array:
    return np.asarray(np.linalg.lstsq(x, y)[0])


def _fits(x: Array, y: Array) -> bool:
    """Return whether a line through every second row is exact on the others."""
    residual = y[1::2] - x[1::2] @ _line(x[::2], y[::2])
    return bool((residual**2).mean() <= (1 - EXACT) * y.var())


def _sum(weights: dict[str, float]) -> str:
    """Return e.g. ``'casual' + 'registered'`` or ``2 × 'a' − 0.5 × 'b'``."""
    text = ""
    for name, weight in weights.items():
        size = abs(weight)
        factor = "" if abs(size - 1) < WHOLE else f"{size:.3g} × "
        sign = (" − " if weight < 0 else " + ") if text else ("−" if weight < 0 else "")
        text += f"{sign}{factor}{name!r}"
    return text


def _product(powers: dict[str, float]) -> str:
    """Return e.g. ``'price' × 'items' / 'people'``, up to a constant factor."""
    text = ""
    for name, power in powers.items():
        size = abs(round(power))
        sign = (" / " if power < 0 else " × ") if text else ("1 / " if power < 0 else "")
        text += f"{sign}{name!r}{'' if size == 1 else f'^{size}'}"
    return text
