"""Every strategy by the name that params.yaml uses; a new one is added here."""

import difflib

from hone.errors import UserError
from hone.search.bayes import Bayesian
from hone.search.grid import Grid
from hone.search.hyperband import Hyperband
from hone.search.replay import Replay
from hone.search.sobol import Sobol
from hone.search.strategy import Strategy
from hone.search.uniform import Uniform

SAMPLERS: dict[str, type[Uniform] | type[Sobol] | type[Grid]] = {"sobol": Sobol, "uniform": Uniform, "grid": Grid}
SURROGATES = ("tpe", "gp")
STRATEGIES: dict[str, type[Strategy]] = {
    **SAMPLERS,
    "bayesian": Bayesian,
    "hyperband": Hyperband,
    "replay": Replay,
}


def sampler(name: str) -> type[Uniform] | type[Sobol] | type[Grid]:
    """Return the strategy of `search.random.sampler`; UserError with the nearest name if there is none."""
    if name not in SAMPLERS:
        nearest = difflib.get_close_matches(name, SAMPLERS, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"it is one of {', '.join(SAMPLERS)}"
        raise UserError(f"search.random.sampler: {name!r} is unknown; {hint}")
    return SAMPLERS[name]
