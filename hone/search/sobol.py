"""Quasi-random search: a scrambled Sobol' sequence (Owen, 1998), which fills the space more evenly than chance."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch.quasirandom import SobolEngine

from hone.search.walk import Walk
from hone.seeds import derive
from hone.space import SearchSpace
from hone.trial import Config

CHUNK = 64  # points drawn at once; has no influence on which


def sobol(space: SearchSpace, seed: int) -> Iterator[Config]:
    """Yield the configs at the points of a scrambled Sobol' sequence; the same ones for the same seed."""
    engine = SobolEngine(space.dimension, scramble=True, seed=derive(seed, "sobol"))  # type: ignore[no-untyped-call]
    while True:
        for point in engine.draw(CHUNK, dtype=torch.float64).numpy():
            yield space.decode(point)


@final
@dataclass(frozen=True, kw_only=True)
class Sobol(Walk):
    """The points of one Sobol' sequence, in its order."""

    origin = "sobol"

    def configs(self) -> Iterator[Config]:
        """Yield the configs at the points."""
        return sobol(self.space, derive(self.seed, self.study))
