"""Columns from which the target can be computed: those that add up to it, or multiply to it."""

from dataclasses import dataclass

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
SURE = 5.0  # standard errors by which a constant differs from nought
TINY = 1e-5  # of the largest term: four digits do not show it

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """target = constant + sum of weight × column; the constant is 0 if that cannot be told from it."""

    weights: dict[str, float]
    constant: float


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
    if (line := _exact(columns, sample.target, sample.alone)) is not None:
        names, formula = list(line.weights), _sum(line)
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = {name: np.where(values > 0, np.log(values), np.nan) for name, values in columns.items()}
            log_target = np.where(sample.target > 0, np.log(sample.target), np.nan)
        line = _exact(logs, log_target, sample.alone)
        if line is None or len(line.weights) > MOST_FACTORS:
            return []
        powers = {name: round(power) for name, power in line.weights.items()}
        if any(abs(line.weights[name] - power) > WHOLE or power == 0 for name, power in powers.items()):
            return []
        names, formula = list(powers), _product(powers, _constant(logs, log_target, powers))
    if len(names) < 2:
        return []
    if len(names) > MOST_SHOWN:
        formula = f"a weighted sum of {named(names, 3)}"
    message = (
        f"{target!r} can be computed: it is {formula}. Are these columns known before {target!r} is? "
        f"If not, {drop(names)}"
    )
    return [finding("leak_formula", "warning", names, message, len(names))]


def _exact(columns: dict[str, Array], target: Array, skill: dict[str, float]) -> Line | None:
    """Return a line of the columns that it needs, those that are added first; None if no line is exact."""
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
    centre, middle = x.mean(axis=0), float(target[complete].mean())
    x, y = x - centre, target[complete] - middle
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
    ordered = sorted(usable, key=lambda name: found.get(name, 0.0) < 0)
    shift = centre[kept] / spread[kept]
    residual = y - x[:, kept] @ weights
    leverage = 1 / n_rows + float(shift @ np.linalg.pinv(x[:, kept].T @ x[:, kept]) @ shift)
    error = np.sqrt(float((residual**2).mean()) * leverage)
    constant = middle - float(shift @ weights)
    largest = max(abs(middle), float(np.abs(shift * weights).max()))
    is_sure = abs(constant) > SURE * error + TINY * largest
    return Line({name: found[name] for name in ordered if name in found}, constant if is_sure else 0.0)


def _constant(logs: dict[str, Array], log_target: Array, powers: dict[str, int]) -> float:
    """Return the constant factor of a product with whole powers; 1 if it cannot be told from that."""
    terms = np.array([power * logs[name] for name, power in powers.items()])
    rest = log_target - terms.sum(axis=0)
    rest = rest[~np.isnan(rest)]
    sure = SURE * rest.std() / np.sqrt(len(rest)) + TINY * np.nanmax(np.abs(terms))
    return float(np.exp(rest.mean())) if abs(rest.mean()) > sure else 1.0


def _line(x: Array, y: Array) -> Array:
    return np.asarray(np.linalg.lstsq(x, y)[0])


def _fits(x: Array, y: Array) -> bool:
    """Return whether a line through every second row is exact on the others."""
    residual = y[1::2] - x[1::2] @ _line(x[::2], y[::2])
    return bool((residual**2).mean() <= (1 - EXACT) * y.var())


def _sum(line: Line) -> str:
    """Return e.g. ``'casual' + 'registered'`` or ``2 × 'a' − 0.5 × 'b' + 32``."""
    text = ""
    for name, weight in line.weights.items():
        size = abs(weight)
        factor = "" if abs(size - 1) < WHOLE else f"{size:.3g} × "
        sign = (" − " if weight < 0 else " + ") if text else ("−" if weight < 0 else "")
        text += f"{sign}{factor}{name!r}"
    return text + (f" {'−' if line.constant < 0 else '+'} {abs(line.constant):.4g}" if line.constant else "")


def _product(powers: dict[str, int], constant: float) -> str:
    """Return e.g. ``'price' × 'items' / 'people'`` or ``703 × 'weight' / 'height'^2``."""
    factor = f"{constant:.4g}"
    text = "" if factor == "1" and max(powers.values()) > 0 else factor
    for name, power in powers.items():
        size = abs(power)
        sign = (" / " if power < 0 else " × ") if text else ""
        text += f"{sign}{name!r}{'' if size == 1 else f'^{size}'}"
    return text
