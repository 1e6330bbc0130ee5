"""Grid search: every combination of a few levels of each parameter."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from hone.search.proposals import TOLERANCE
from hone.search.sobol import sobol
from hone.search.walk import Walk
from hone.seeds import derive
from hone.space import Categorical, Domain, Fixed, Float, Int, SearchSpace
from hone.trial import Config, Value


def levels(domain: Domain, n: int) -> tuple[Value, ...]:
    """Return the values a grid tries: every choice; of a number n, evenly spaced on its scale, both bounds among them.

    An integer with fewer values than n has all of them; n = 1 is the middle.
    """
    match domain:
        case Fixed(value):
            return (value,)
        case Categorical(choices):
            return choices
        case Int(low, high) if high - low < n:
            return tuple(range(low, high + 1))
        case Float() | Int():
            values = [domain.decode(u) for u in np.linspace(0, 1, n)] if n > 1 else [domain.middle]
            return tuple(dict.fromkeys(values))


@final
@dataclass(frozen=True, kw_only=True)
class Grid(Walk):
    """All combinations of `levels` values a number and every choice.

    A grid that the budget pays for is walked in order, the last parameter fastest. A larger one is cut: its
    points are taken in the order of a Sobol' sequence laid over it, so that what is tried is spread evenly.
    """

    origin = "grid"

    levels: int = 3

    def configs(self) -> Iterator[Config]:
        """Yield the points of the grid."""
        axes = {name: levels(domain, self.levels) for name, domain in self.space.domains.items()}
        n_affordable = math.floor(self.budget / (self.resource * self.rows) + TOLERANCE)
        if math.prod(len(axis) for axis in axes.values()) <= n_affordable:
            for values in itertools.product(*axes.values()):
                yield self.space.trimmed(dict(zip(axes, values, strict=True)))
        else:
            # A space of the levels only: a Sobol' point falls into one cell of the grid.
            cells = SearchSpace({name: Categorical(axis) for name, axis in axes.items()}, self.space.conditions)
            yield from sobol(cells, derive(self.seed, self.study))
