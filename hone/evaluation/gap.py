"""Whether the test rows say something else than the validation rows did, beyond what chance explains."""

import math
from dataclasses import dataclass

from hone import metrics
from hone.evaluation.bootstrap import Interval


@dataclass(frozen=True)
class Gap:
    """By how much the test score is worse than the validation score, positive if worse.

    chance: the difference that chance alone exceeds, upwards or downwards, with probability 1 - confidence; NaN where
    the test rows give no interval.
    """

    value: float
    chance: float

    @property
    def suspicious(self) -> bool:
        """Return whether the test score is worse by more than chance explains."""
        return self.value > self.chance


def gap(
    metric: str,
    *,
    validation: float,
    validation_std: float,
    n_trainings: int,
    n_validation: int,
    test: Interval,
    n_test: int,
    confidence: float,
) -> Gap:
    """Return the gap between what validation promised and what the test rows gave.

    validation, validation_std: mean and standard deviation of the score over `n_trainings` trainings. The validation
    score's own sampling error is taken to be the test score's, by the square root of the rows.
    """
    from scipy.stats import norm  # half a second, which sentences on a gap, and the type, can do without

    sign = 1.0 if metrics.METRICS[metric].larger_is_better else -1.0
    sampling = test.deviation * math.sqrt(1 + n_test / n_validation)
    trainings = validation_std / math.sqrt(n_trainings)
    chance = float(norm.ppf((1 + confidence) / 2)) * math.hypot(sampling, trainings)
    return Gap(sign * (validation - test.value), chance)
