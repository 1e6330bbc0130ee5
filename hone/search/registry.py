"""The coarse phase's strategies by the names that params.yaml uses; a new one is added here."""

from hone.search.grid import Grid
from hone.search.sobol import Sobol
from hone.search.uniform import Uniform

SAMPLERS: dict[str, type[Uniform] | type[Sobol] | type[Grid]] = {"sobol": Sobol, "uniform": Uniform, "grid": Grid}
