"""Rule that decides between a tuned config and the defaults, by a paired comparison of their replays.

The tuned config is delivered only if it is better by more than the standard error of the difference.

Notation: d_r is the difference between the two configs' objectives under the seed r, positive where the candidate is
better, R the number of seeds. Seeds and rows are crossed, as all replays predict the same rows:

    d_r = difference + rows + seed_r + interaction_r
    var(mean d) = var(rows) + (var(seed) + var(interaction)) / R

- The paired bootstrap over rows, of the mean of d, estimates var(rows) + var(interaction) / R.
- The same of each d_r estimates var(rows) + var(interaction); the two together give var(interaction).
- The variance of d over seeds estimates var(seed) + var(interaction).

This is the variance model of readers and cases in the comparison of diagnostic tests (Gallas 2006, Academic Radiology
13, 353-362).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hone import metrics
from hone.data.problem import Problem
from hone.evaluation import bootstrap

Floats = NDArray[np.float64]
MARGIN = 1.0
"""Standard errors by which a choice must be better than the default choice."""
N_RESAMPLES = 200


@dataclass(frozen=True)
class Replays:
    """One config's replays, all at the epoch that its final training will have.

    objectives: [n_seeds, n_folds], minimised, of a config without failures; empty if all replays failed.
    predictions: for each seed, of all held-out rows: [n, n_classes] probabilities or [n] values; may be empty.
    n_failed: replays that diverged or failed.
    """

    objectives: Floats
    predictions: Sequence[Floats] = ()
    n_failed: int = 0


@dataclass(frozen=True)
class Decision:
    """Whether the candidate is delivered, and why.

    difference: of the mean objectives, in the metric's units, positive if the candidate is better; None if one of the
    configs has no complete replay. error: its standard error; None if neither seeds nor rows tell it.
    """

    tuned: bool
    difference: float | None = None
    error: float | None = None


def decide(
    problem: Problem,
    truth: NDArray[np.generic],
    candidate: Replays,
    defaults: Replays,
    *,
    seed: int,
    groups: NDArray[np.generic] | None = None,
) -> Decision:
    """Return whether a candidate is delivered in place of the defaults.

    truth: [n] class codes or values of the held-out rows; groups: [n], of rows that are drawn together.
    Both configs' replays share seeds and folds. A candidate of which replays failed is delivered only if the defaults
    have no complete replay. If only replays of the defaults failed, the candidate needs a better mean, by any amount.
    Without any known error the defaults are delivered.
    """
    if not candidate.objectives.size or not defaults.objectives.size:
        return Decision(tuned=not defaults.objectives.size)
    difference = float(np.mean(defaults.objectives) - np.mean(candidate.objectives))
    if candidate.n_failed or defaults.n_failed:
        return Decision(not candidate.n_failed and difference > 0, difference)
    error = standard_error(problem, truth, candidate, defaults, seed=seed, groups=groups)
    return Decision(error is not None and difference > MARGIN * error, difference, error)


def standard_error(
    problem: Problem,
    truth: NDArray[np.generic],
    candidate: Replays,
    defaults: Replays,
    *,
    seed: int,
    groups: NDArray[np.generic] | None = None,
) -> float | None:
    """Return the standard error of the difference of two configs' mean objectives; None if nothing tells it.

    With one seed and no folds the rows alone tell it. With one seed on several folds the spread over folds has all
    that is due to chance, and counts if it is larger. Without predictions, or with a single row or group, the seeds
    alone tell it.
    """
    by_fold = np.asarray(defaults.objectives) - np.asarray(candidate.objectives)
    n_seeds, n_folds = by_fold.shape
    rows, interaction = _over_rows(problem, truth, candidate, defaults, seed, groups)
    if n_seeds > 1:
        seeds = float(np.var(by_fold.mean(axis=1), ddof=1)) / n_seeds
        return math.sqrt(seeds if rows is None else rows + max(0.0, seeds - interaction / n_seeds))
    if n_folds > 1:
        folds = float(np.var(by_fold[0], ddof=1)) / n_folds
        return math.sqrt(folds if rows is None else max(rows, folds))
    return None if rows is None else math.sqrt(rows)


def _over_rows(
    problem: Problem,
    truth: NDArray[np.generic],
    candidate: Replays,
    defaults: Replays,
    seed: int,
    groups: NDArray[np.generic] | None,
) -> tuple[float | None, float]:
    """Return the variance over rows of the mean difference, None if unknown, and of the interaction with seeds."""
    n_seeds = min(len(candidate.predictions), len(defaults.predictions))
    if not n_seeds:
        return None, 0.0
    pairs = list(zip(candidate.predictions, defaults.predictions, strict=False))
    named = {f"{side}{number}": one for number, pair in enumerate(pairs) for side, one in zip("+-", pair, strict=True)}
    name = problem.metric
    drawn = bootstrap.scores([name], problem, truth, named, n_resamples=N_RESAMPLES, seed=seed, groups=groups)
    sign = 1.0 if metrics.METRICS[name].larger_is_better else -1.0
    each = np.stack([sign * (drawn[f"+{number}"][name] - drawn[f"-{number}"][name]) for number in range(n_seeds)])
    each = each[:, ~np.isnan(each).any(axis=0)]  # resamples in which the metric exists
    if each.shape[1] < 2:
        return None, 0.0
    rows = float(np.var(each.mean(axis=0)))
    if n_seeds == 1:
        return rows, 0.0
    return rows, max(0.0, (float(np.var(each, axis=1).mean()) - rows) * n_seeds / (n_seeds - 1))
