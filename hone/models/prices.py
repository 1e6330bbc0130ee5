"""What an epoch of a config takes beside the default's: known roughly beforehand, and better once some are timed.

Notation
--------
growth  of a number, (value + reference) / (2 reference); at its reference, the default, it is 1
price   the product of growth ** exponent over numbers, and of a factor for each choice: 1 at the default config
"""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from hone.domains import Categorical, Float, Int, is_number
from hone.space import Prices, SearchSpace, growth, price_of, reachable
from hone.trial import Config, Value

EXPONENTS: Mapping[str, float] = {
    "batch_size": -1.0,
    "units": 1.8,
    "units_1": 0.8,
    "units_2": 0.6,
    "units_3": 0.6,
    "units_4": 0.6,
    "n_layers": 1.2,
    "n_blocks": 1.6,
    "hidden_factor": 1.6,
    "n_members": 1.8,
    "token_size": 2.0,
    "width": 3.0,
    "n_stages": 0.6,
    "n_convolutions": 1.6,
}
"""With which power of a number's growth the time of an epoch grows: fits, on logarithms, to some sixty trials of a
search over tables of 12,000 rows; of pictures, the number of multiplications. Pure powers of the numbers themselves
left more of the times of 97 other configs unexplained: a standard deviation of 0.65 of logarithms instead of 0.58."""
EMBEDDED = 1.3
"""What embedded numbers cost beside plain ones."""

MOST_POWER = 100.0  # of e: beyond any hyperparameter
NOISE = 0.2  # standard deviations of logarithms: of a measured time,
DOUBT_OF_EXPONENT, DOUBT_OF_FACTOR = 0.6, 0.7  # and of what is known beforehand


def rough(space: SearchSpace, families: Mapping[str, float] | None = None) -> Prices:
    """Return prices of a space's hyperparameters by what is known beforehand; 1 at its defaults.

    families: what an epoch of each family costs, where the family is a hyperparameter.
    """
    prices: dict[str, Mapping[str, float] | tuple[float, float]] = {} if families is None else {"family": families}
    for name, exponent in EXPONENTS.items():
        default = space.defaults.get(name)
        if name in space.domains and is_number(default) and float(default) > 0:
            prices[name] = (float(default), exponent)
    if "embedding" in space.domains:
        plain = EMBEDDED if space.defaults["embedding"] != "none" else 1.0
        prices["embedding"] = {"none": 1 / plain, **dict.fromkeys(_others(space), EMBEDDED / plain)}
    return prices


def at_defaults(prices: Prices, defaults: Config) -> Prices:
    """Return prices that are 1 at these defaults: params.yaml may have moved them."""
    moved = dict(prices)
    for name, price in prices.items():
        default = defaults.get(name)
        if isinstance(price, Mapping):
            factor = price.get(str(default), 1.0)
            moved[name] = {choice: each / factor for choice, each in price.items()}
        elif is_number(default) and float(default) > 0:
            moved[name] = (float(default), price[1])
    return moved


def fitted(prices: Prices, configs: Sequence[Config], seconds: Sequence[float]) -> tuple[float, Prices]:
    """Return the seconds of an epoch of price 1, and prices that agree better with measured times.

    Bayesian linear regression on logarithms: exponents and factors keep to what was known beforehand, as far as the
    times say nothing else. Without prices it is the mean that is returned: whatever makes the difference is unknown.
    """
    if not prices:
        return math.fsum(seconds) / len(seconds), prices
    columns = [(name, choice) for name, price in prices.items() for choice in _choices(price)]
    x = np.array(
        [[1.0, *(_feature(prices[name], choice, config.get(name)) for name, choice in columns)] for config in configs]
    )
    y = np.log(np.array(seconds)) - np.array([_log_price(prices, config) for config in configs])
    doubts = np.array([DOUBT_OF_EXPONENT if choice is None else DOUBT_OF_FACTOR for _, choice in columns])
    # Minimises |y - x w|² / noise² + Σ (w / doubt)²; the seconds themselves are free.
    precision = np.diag([0.0, *(NOISE / doubts) ** 2])
    weights = np.linalg.solve(x.T @ x + precision, x.T @ y)
    found: dict[str, Mapping[str, float] | tuple[float, float]] = {}
    moved = {column: float(weight) for column, weight in zip(columns, weights[1:], strict=True)}
    for name, price in prices.items():
        if isinstance(price, Mapping):
            found[name] = {choice: _rounded(factor * math.exp(moved[name, choice])) for choice, factor in price.items()}
        else:
            found[name] = (price[0], _rounded(price[1] + moved[name, None]))
    return _rounded(math.exp(float(weights[0]))), found


def affordable(space: SearchSpace, dearest: float, kept: Collection[str] = ()) -> SearchSpace:
    """Return the space within which no epoch is dearer than so much, or than the default.

    Choices are left out and bounds drawn in that are too dear by themselves, but not beyond the default. kept: names
    that are left as they are.
    """
    domains = dict(space.domains)
    for name, price in space.prices.items():
        domain, default = domains.get(name), space.defaults.get(name)
        if domain is None or name in kept:
            continue
        if isinstance(price, Mapping) and isinstance(domain, Categorical):
            left = [c for c in domain.choices if price.get(str(c), 1.0) <= dearest or c == default]
            domains[name] = Categorical(tuple(left))
        elif not isinstance(price, Mapping) and isinstance(domain, Int | Float) and is_number(default):
            bound = _value_of_price(price, dearest)
            low, high = domain.low, domain.high
            if price[1] > 0:
                high = min(high, max(bound, float(default)))
            elif price[1] < 0:
                low = max(low, min(bound, float(default)))
            whole = isinstance(domain, Int)
            domains[name] = Int(math.ceil(low), math.floor(high), domain.log) if whole else Float(low, high, domain.log)
    dearest = max(dearest, price_of(space.prices, space.default))
    return reachable(SearchSpace(domains, space.conditions, space.defaults, space.prices, dearest))


def extremes(space: SearchSpace) -> list[dict[str, Value]]:
    """Return the default config with one number after the other where an epoch takes longest: what to time first."""
    found = []
    for name, price in space.prices.items():
        domain = space.domains.get(name)
        if name in space.default and not isinstance(price, Mapping) and isinstance(domain, Int | Float):
            found.append(space.trimmed({**space.defaults, name: domain.high if price[1] > 0 else domain.low}))
    return found


def _value_of_price(price: tuple[float, float], wanted: float) -> float:
    """Return the number that costs so much by itself; where none does, one beyond all bounds."""
    reference, exponent = price
    power = math.log(wanted) / exponent if exponent else math.inf
    return reference * (2 * math.exp(max(-MOST_POWER, min(MOST_POWER, power))) - 1)


def _others(space: SearchSpace) -> list[str]:
    choices = getattr(space.domains["embedding"], "choices", ())
    return [str(choice) for choice in choices if choice != "none"]


def _choices(price: Mapping[str, float] | tuple[float, float]) -> list[str | None]:
    return [*price] if isinstance(price, Mapping) else [None]


def _feature(price: Mapping[str, float] | tuple[float, float], choice: str | None, value: object) -> float:
    if isinstance(price, Mapping):
        return float(str(value) == choice)
    return math.log(growth(float(value), price[0])) if is_number(value) else 0.0


def _log_price(prices: Prices, config: Config) -> float:
    """Return the logarithm of a price, without the floor that `price_of` has."""
    total = 0.0
    for name, price in prices.items():
        value = config.get(name)
        if isinstance(price, Mapping):
            total += math.log(price.get(str(value), 1.0))
        else:
            total += price[1] * _feature(price, None, value)
    return total


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
