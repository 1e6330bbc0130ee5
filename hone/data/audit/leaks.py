"""Columns that tell the target: alone, by being missing, or far better than all others together.

The first two are warnings. The last is a note: an honest column may be that good, so a person has to judge.

A date says much of whatever changes slowly, if rows before and after are known: that is no leak. So a clock, which is a
date or another column that tells when a row is of, is judged on times that lie apart from those that are fitted to.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from hone.data.audit import ids, order, predictions
from hone.data.audit.findings import Finding, drop, finding, named
from hone.data.audit.sample import N_FOLDS, Sample
from hone.data.schema import Schema

# Balanced accuracy, or R2, from one column alone, above which it is taken for a leak.
LEAK_SCORE = 0.98
# Skill of missingness alone: the difference of its rates inside and outside a class, or R2.
MISSING_LEAKS = 0.8
MISSING_TELLS = 5.0  # standard errors
FEWEST_MISSING = 20
CHANCE = 1e-6
KNOWN = 0.95  # of the values of a column by which rows are sorted
# One column against all others; skills are R2 or 2 ROC AUC - 1.
FEWEST_TO_COMPARE = 100
DOMINANT_ALONE = 0.5
STRIKING_ALONE = 0.75  # so much is a question even where all others say next to nothing
FEWEST_OF_OTHERS = 0.2
DOMINANT_OTHERS = 0.8  # of that skill is the most that all others may have together
DOMINANT_GAIN = 0.25  # of the skill of all columns is lost without the column


def by_missingness(sample: Sample) -> list[Finding]:
    """Return the columns whose being missing tells the target: one warning for leaks, one note for weak signs."""
    leaks, signs = [], {}
    for name, missing in sample.missing.items():
        if not FEWEST_MISSING <= missing.sum() <= len(missing) - FEWEST_MISSING:
            continue
        skill, error = _skill_of(missing, sample)
        if skill >= MISSING_LEAKS or _is_pure(missing, sample):
            leaks.append(name)
        elif skill >= MISSING_TELLS * error:
            signs[name] = skill
    target = repr(sample.problem.target)
    found = []
    if leaks:
        message = (
            f"whether {named(leaks)} {'is' if len(leaks) == 1 else 'are'} missing tells {target}: "
            f"filled in afterwards? If so, {drop(leaks)}"
        )
        found.append(finding("leak_missing", "warning", leaks, message, len(leaks)))
    if signs:
        names = sorted(signs, key=lambda name: -signs[name])
        message = (
            f"whether {named(names, 3)} {'is' if len(names) == 1 else 'are'} missing says a little of {target}: "
            "no leak if it is known in time"
        )
        found.append(finding("missing_tells", "info", names, message, len(names)))
    return found


def _skill_of(missing: NDArray[np.bool_], sample: Sample) -> tuple[float, float]:
    """Return how well missingness alone tells the target, and the standard error of that by chance."""
    share = missing.mean()
    if sample.problem.classes is None:
        values = sample.target - sample.target.mean()
        gap = float(values[missing].mean() - values[~missing].mean())
        variance = float(values.var())  # nought if values are so small that their squares vanish
        return float(share * (1 - share) * gap**2 / variance) if variance else 0.0, MISSING_TELLS / len(values)
    best = (0.0, 1.0)
    for code in np.unique(sample.target):
        inside = sample.target == code
        gap = abs(float(missing[inside].mean() - missing[~inside].mean()))
        error = float(np.sqrt(share * (1 - share) * (1 / inside.sum() + 1 / (~inside).sum())))
        if gap / error > best[0] / best[1]:
            best = gap, error
    return best


def _is_pure(missing: NDArray[np.bool_], sample: Sample) -> bool:
    """Return whether all rows with, or without, a value share one target, and chance hardly makes that."""
    for rows in (missing, ~missing):
        values, counts = np.unique(sample.target[rows], return_counts=True)
        share = float((sample.target == values[counts.argmax()]).mean())
        if counts.max() >= 0.99 * rows.sum() and share ** counts.max() < CHANCE:
            return True
    return False


def clocks(sample: Sample, schema: Schema, time: str | None) -> frozenset[str]:
    """Return the columns that tell when a row is of: dates, the split's time, and numbers by which rows are sorted.

    Such numbers are whole and never repeat, or have a name like a time's. Others may sort the rows, too: a leak does in
    a table that is sorted by its target. time: the column that rows are split by, if they are.
    """
    used = (column for column in schema.columns if column.name in sample.columns)
    return frozenset(
        column.name
        for column in used
        if column.kind == "date"
        or column.name == time
        or (column.kind == "numeric" and _count_or_sort(sample.columns[column.name][0].values, column.name))
    )


def _count_or_sort(values: NDArray[np.float64], name: str) -> bool:
    """Return whether numbers count the rows, or sort them and are called like a time."""
    known = values[~np.isnan(values)]
    if len(known) < KNOWN * len(values):
        return False
    if ids.counts(known) and bool((known == np.round(known)).all()):
        return True
    steps = np.diff(known)
    return order.NAME.search(name) is not None and bool((steps >= 0).all() or (steps <= 0).all())


def alone(sample: Sample, clocks: Collection[str] = ()) -> list[Finding]:
    """Return the columns from which alone the target follows almost perfectly, on rows not fitted to.

    clocks: of these, the moment alone is judged, on blocks of rows that follow one another in time. Neither its month
    nor another of its parts is: seasons are no leak.
    """
    scores: dict[str, float] = {}
    classes = sample.problem.classes is not None
    for name, features in sample.columns.items():
        if name in clocks:
            folds = _blocks(features[0].values, sample)
            smooth = [predictions.out_of_fold(features[0], sample.outcomes, folds)]
            features = features[:1]
        else:
            folds, smooth = sample.folds, sample.smooth[name]
        sharp = [predictions.out_of_fold(each, sample.outcomes, folds, sharp=True) for each in features]
        for told in (*sharp, *smooth):
            score = predictions.balanced_accuracy(sample.target, told) if classes else sample.skill(told)
            scores[name] = max(score, scores.get(name, -np.inf))
    leaks = sorted((name for name in scores if scores[name] >= LEAK_SCORE), key=lambda name: -scores[name])
    if not leaks:
        return []
    measure = "balanced accuracy" if classes else "R2"
    message = (
        f"{named(leaks)} alone {'predicts' if len(leaks) == 1 else 'predict'} {sample.problem.target!r} "
        f"almost perfectly ({measure} {scores[leaks[-1]]:.3f}). "
        f"{'Is it' if len(leaks) == 1 else 'Are they'} known before {sample.problem.target!r} is? If not, {drop(leaks)}"
    )
    return [finding("leak", "warning", leaks, message, len(leaks))]


def _blocks(values: NDArray[np.float64], sample: Sample) -> NDArray[np.int64]:
    """Return folds of neighbouring values: rows in their order are cut where each has as many. Missing ones stay."""
    folds = sample.folds.copy()
    known = np.flatnonzero(~np.isnan(values))
    in_order = known[np.argsort(values[known], kind="stable")]
    folds[in_order] = np.arange(len(in_order)) * N_FOLDS // max(1, len(in_order))
    return folds


def dominant(sample: Sample, clocks: Collection[str] = ()) -> list[Finding]:
    """Return the column that tells far more than all others together, if there is one. clocks: are never that one."""
    candidates = [name for name in sample.columns if name not in clocks]
    if len(sample.target) < FEWEST_TO_COMPARE or len(sample.columns) < 2 or not candidates:
        return []
    best = max(candidates, key=lambda name: sample.alone[name])
    skill = sample.alone[best]
    if skill < DOMINANT_ALONE:
        return []
    without = max(0.0, sample.together(name for name in sample.columns if name != best))
    if without > DOMINANT_OTHERS * skill or (skill < STRIKING_ALONE and without < FEWEST_OF_OTHERS):
        return []  # where others say nothing, it is no surprise that one says something
    everything = max(skill, sample.together(sample.columns))
    if everything - without < DOMINANT_GAIN * everything:
        return []
    if sample.problem.classes is None:
        measure, figures = "R2", (skill, without)
    else:
        measure, figures = "ROC AUC", ((1 + skill) / 2, (1 + without) / 2)
    message = (
        f"{best!r} tells more than all others together ({measure} {figures[0]:.2f} alone, they {figures[1]:.2f}). "
        f"Is it known before {sample.problem.target!r} is? If not, {drop([best])}"
    )
    return [finding("dominant", "info", [best], message, 1)]
