"""Learning-rate schedules as pure functions of how much of the full resource has passed."""

import math
from collections.abc import Callable, Mapping

WARM_UP = 0.3  # share of one_cycle in which the rate rises
START = 1 / 25  # one_cycle's first factor
END = START / 1e4  # and its last


def constant(progress: float) -> float:
    """Return 1."""
    return 1.0


def cosine(progress: float) -> float:
    """Return half a cosine from 1 to 0 (Loshchilov and Hutter 2017, without restarts)."""
    return _between(1.0, 0.0, progress)


def one_cycle(progress: float) -> float:
    """Return a rise to 1 and a longer fall to almost 0, both half cosines (Smith and Topin 2018).

    The shape and numbers are those of torch's OneCycleLR, with momentum left as it is.
    """
    if progress < WARM_UP:
        return _between(START, 1.0, progress / WARM_UP)
    return _between(1.0, END, (progress - WARM_UP) / (1 - WARM_UP))


def coslog4(progress: float) -> float:
    """Return four waves between 0 and 1, each as long as all before it (Holzmüller et al. 2024, section 3)."""
    return (1 - math.cos(2 * math.pi * math.log2(1 + 15 * min(progress, 1.0)))) / 2


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


# progress, in [0, 1]: steps taken over steps of the full resource -> factor on the learning rate
SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "coslog4": coslog4,
}
