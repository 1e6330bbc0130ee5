"""Every strategy by the name that params.yaml uses; a new one is added here."""

from hone.search.bayes import Bayesian
from hone.search.grid import Grid
from hone.search.hyperband import Hyperband
from hone.search.replay import Replay
from hone.search.sobol import Sobol
from hone.search.strategy import Strategy
from hone.search.uniform import Uniform

SAMPLERS: dict[str, type[Uniform] | type[Sobol] | type[Grid]] = {"sobol": Sobol, "uniform": Uniform, "grid": Grid}
STRATEGIES: dict[str, type[Strategy]] = {
    **SAMPLERS,
    "bayesian": Bayesian,
    "hyperband": Hyperband,
    "replay": Replay,
}
