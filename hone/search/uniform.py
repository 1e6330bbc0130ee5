"""Random search (Bergstra and Bengio, 2012): independent uniform draws, behind the default config."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from hone.search.proposals import uniform
from hone.search.walk import Walk
from hone.seeds import derive
from hone.trial import Config


@final
@dataclass(frozen=True, kw_only=True)
class Uniform(Walk):
    """Uniform on the unit cube."""

    origin = "random"

    def configs(self) -> Iterator[Config]:
        """Yield the draws."""
        return uniform(self.space, derive(self.seed, self.study))
