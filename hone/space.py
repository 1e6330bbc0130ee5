"""Search spaces: configs to and from the unit cube, conditions, and what params.yaml says of them.

Notation
--------
d      number of parameters, fixed ones included: one coordinate each, in the order of `domains`
point  d coordinates in [0, 1], float64

What a coordinate means is its domain's business (hone/domains.py).
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hone.domains import Categorical, Domain, Fixed, Float, Int, is_number, is_value
from hone.errors import UserError
from hone.trial import Config, Value, identity

__all__ = [
    "Categorical",
    "Condition",
    "Domain",
    "Fixed",
    "Float",
    "Int",
    "Prices",
    "SearchSpace",
    "growth",
    "identity",
    "parse_domain",
    "price_of",
    "reachable",
]

EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


Number = TypeVar("Number", float, NDArray[np.float64])
Prices = Mapping[str, Mapping[str, float] | tuple[float, float]]
"""By parameter: what an epoch costs with each of its choices, or of a number, where it costs 1 and the exponent."""
CHEAPEST = 0.25
"""No epoch costs less: rows must be read and scored, however small a network is."""


def growth(value: Number, reference: float) -> Number:
    """Return what of an epoch's price a number stands for, 1 at the reference: half of that stays however small it is.

    The smallest networks take time, too, and a pure power of the size would call them ever cheaper.
    """
    return (value + reference) / (2 * reference)


def price_of(prices: Prices, config: Config) -> float:
    """Return what an epoch of a config costs, in epochs of a budget; 1 where there are no prices.

    Prices multiply; a number's is ``growth(value, where it costs 1) ** exponent``. What a config lacks adds nothing.
    """
    total = 1.0
    for name, price in prices.items():
        value = config.get(name)
        if isinstance(price, Mapping):
            total *= price.get(str(value), 1.0)
        elif value is not None and is_number(value):
            total *= growth(float(value), price[0]) ** price[1]
    return max(total, CHEAPEST)


@dataclass(frozen=True)
class Condition:
    """A parameter exists only where its parent does and has an allowed value, or one that is at least so large."""

    parent: str
    allowed: tuple[Value, ...] | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if (self.allowed is None) == (self.at_least is None):
            raise UserError(f"the condition on {self.parent} needs either a list of values or at_least")

    def holds(self, config: Config) -> bool:
        """Return whether the parent is in config with a value that is let through."""
        if self.parent not in config:
            return False
        value = config[self.parent]
        if self.at_least is not None:
            return is_number(value) and float(value) >= self.at_least
        return value in cast(tuple[Value, ...], self.allowed)

    def to_json(self) -> dict[str, Any]:
        """Return what params.yaml says under `when`."""
        return {self.parent: list(self.allowed) if self.allowed is not None else {"at_least": self.at_least}}


@dataclass(frozen=True, init=False)
class SearchSpace:
    """Named domains, some of them conditional, with a default config.

    domains: in a fixed order, a child behind its parent. conditions: by the child's name.
    defaults: one legal value a name, also for names that are inactive in the default config.
    prices: of parameters that make an epoch dearer, see `price_of`. dearest: price above which nothing is proposed.
    """

    domains: Mapping[str, Domain]
    conditions: Mapping[str, Condition]
    defaults: Config
    prices: Prices
    dearest: float

    def __init__(
        self,
        domains: Mapping[str, Domain],
        conditions: Mapping[str, Condition] | None = None,
        default: Config | None = None,
        prices: Prices | None = None,
        dearest: float = math.inf,
    ) -> None:
        """Build a space; UserError where a condition's parent is missing or comes later.

        default: may be incomplete and is made legal: what is missing is the middle of its domain, a number
        beyond a bound is that bound, and a category that is no choice is the first choice.
        """
        names, given = list(domains), dict(default or {})
        for name, condition in (conditions or {}).items():
            if condition.parent not in domains:
                hint = _nearest(condition.parent, names)
                raise UserError(f"search.space.{name}.when: there is no parameter {condition.parent!r}{hint}")
            if names.index(condition.parent) >= names.index(name):
                raise UserError(f"search.space.{name}.when: {condition.parent} must be listed before {name}")
        defaults = {
            name: domain.clip(given[name]) if name in given else domain.middle for name, domain in domains.items()
        }
        object.__setattr__(self, "domains", dict(domains))
        object.__setattr__(self, "conditions", dict(conditions or {}))
        object.__setattr__(self, "defaults", defaults)
        object.__setattr__(self, "prices", dict(prices or {}))
        object.__setattr__(self, "dearest", dearest)

    @property
    def names(self) -> tuple[str, ...]:
        """Return all parameters' names, in order."""
        return tuple(self.domains)

    @property
    def dimension(self) -> int:
        """Return d, the number of coordinates of a point: one for each name."""
        return len(self.domains)

    @property
    def is_finite(self) -> bool:
        """Return whether the space holds finitely many configs: no domain is a float's."""
        return not any(isinstance(domain, Float) for domain in self.domains.values())

    @cached_property
    def default(self) -> dict[str, Value]:
        """Return the default config: complete, and without what is inactive in it."""
        return self.trimmed(self.defaults)

    def trimmed(self, values: Config) -> dict[str, Value]:
        """Return the config in `values`, which has a value for every name: those whose conditions hold, in order."""
        config: dict[str, Value] = {}
        for name in self.domains:
            condition = self.conditions.get(name)
            if condition is None or condition.holds(config):
                config[name] = values[name]
        return config

    def decode(self, point: ArrayLike) -> dict[str, Value]:
        """Return the config at a point [d]; inactive parameters are left out."""
        coordinates = np.asarray(point, dtype=np.float64)
        assert coordinates.shape == (self.dimension,), f"a point has {self.dimension} coordinates"
        return self.trimmed(
            {
                name: domain.decode(u)
                for (name, domain), u in zip(self.domains.items(), coordinates.tolist(), strict=True)
            }
        )

    def encode(self, config: Config) -> NDArray[np.float64]:
        """Return the point [d] of a config; an inactive parameter has its default's coordinate."""
        values = {**self.defaults, **config}
        return np.array([domain.encode(values[name]) for name, domain in self.domains.items()], dtype=np.float64)

    def active(self, config: Config) -> tuple[str, ...]:
        """Return the names that exist in a config, by their conditions."""
        return tuple(self.trimmed({**self.defaults, **config}))

    def contains(self, config: Config) -> bool:
        """Return whether config has exactly the active parameters, each within its domain."""
        return set(self.active(config)) == set(config) and all(
            self.domains[name].contains(value) for name, value in config.items()
        )

    def price(self, config: Config) -> float:
        """Return what an epoch of a config costs, in epochs of a budget; 1 where the space has no prices."""
        return price_of(self.prices, config)

    def with_domains(self, domains: Mapping[str, Domain]) -> "SearchSpace":
        """Return the space with some domains replaced, and the default made legal in them."""
        return SearchSpace({**self.domains, **domains}, self.conditions, self.defaults, self.prices, self.dearest)

    def merged(self, overrides: Mapping[str, object], *, extend: bool = False) -> "SearchSpace":
        """Return the space with params.yaml's `search.space` laid over it.

        A value fixes a parameter, a list gives choices, a mapping gives a domain (see `parse_domain`) and may
        have a `default`; without a `type`, what it leaves out stays as the family has it, as in ``{high: 1024}``. A
        condition is kept unless the override has its own. extend: whether names that the space lacks are added (a
        factory of the user's own takes any name). UserError names the key.
        """
        domains, conditions, defaults = dict(self.domains), dict(self.conditions), dict(self.defaults)
        for name, spec in overrides.items():
            if name not in domains and not extend:
                hint = _nearest(str(name), list(domains)) or f"; it has {', '.join(domains)}"
                raise UserError(f"search.space.{name}: the model family has no such hyperparameter{hint}")
            if isinstance(spec, Mapping) and "type" not in spec and name in self.domains:
                spec = {**self.domains[name].to_json(), **spec}
            domain, condition = parse_domain(name, spec)
            if name in domains:
                _check_override(name, self.domains[name], domain)
                if isinstance(domain, Fixed) and isinstance(self.domains[name], Float):
                    domain = Fixed(float(domain.value))
            if condition is not None:
                conditions[name] = condition
            if isinstance(spec, Mapping) and "default" in spec:
                defaults[name] = _value(spec["default"])
                if not domain.contains(defaults[name]):
                    raise UserError(f"search.space.{name}.default: {spec['default']!r} is not in {domain}")
            domains[name] = domain
        return SearchSpace(domains, conditions, defaults, self.prices)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, from which `from_json` builds an equal space."""
        return {
            "domains": [
                {
                    "name": name,
                    **domain.to_json(),
                    "default": self.defaults[name],
                    **({"when": self.conditions[name].to_json()} if name in self.conditions else {}),
                }
                for name, domain in self.domains.items()
            ]
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the space that `to_json` described."""
        parsed = {item["name"]: parse_domain(item["name"], item) for item in data["domains"]}
        return cls(
            {name: domain for name, (domain, _) in parsed.items()},
            {name: condition for name, (_, condition) in parsed.items() if condition is not None},
            {item["name"]: item["default"] for item in data["domains"]},
        )


def reachable(space: SearchSpace) -> SearchSpace:
    """Return the space without parameters whose conditions can never hold, such as those of a choice left out."""
    domains: dict[str, Domain] = {}
    for name, domain in space.domains.items():  # a child comes after its parent
        condition = space.conditions.get(name)
        if condition is None or (condition.parent in domains and _can_hold(condition, domains[condition.parent])):
            domains[name] = domain
    return SearchSpace(
        domains,
        {name: condition for name, condition in space.conditions.items() if name in domains},
        {name: value for name, value in space.defaults.items() if name in domains},
        {name: price for name, price in space.prices.items() if name in domains},
        space.dearest,
    )


def _can_hold(condition: Condition, parent: Domain) -> bool:
    values: tuple[Value, ...]
    if isinstance(parent, Categorical):
        values = parent.choices
    elif isinstance(parent, Fixed):
        values = (parent.value,)
    elif condition.at_least is not None:
        values = (parent.decode(1.0),)
    else:
        return any(parent.contains(value) for value in condition.allowed or ())
    return any(condition.holds({condition.parent: value}) for value in values)


KEYS = {
    "float": {"low", "high", "log"},
    "int": {"low", "high", "log"},
    "categorical": {"choices"},
    "fixed": {"value"},
}


def parse_domain(name: str, spec: object) -> tuple[Domain, Condition | None]:
    """Return the domain that an entry of `search.space` describes, and its condition, if it has one.

    A plain value fixes the parameter and a list gives its choices; else a mapping: ``{type: float|int, low,
    high, log}`` or ``{type: categorical, choices}``, each with an optional ``when: {parent: [values]}`` or
    ``when: {parent: {at_least: value}}``. UserError names ``search.space.<name>``, the value, the remedy.
    """
    key = f"search.space.{name}"
    try:
        if isinstance(spec, Mapping):
            return _domain(key, spec), _condition(key, spec.get("when"))
        if isinstance(spec, Sequence) and not isinstance(spec, str | bytes):
            return Categorical(tuple(_value(choice) for choice in spec)), None
        return Fixed(_value(spec)), None
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(key) else f"{key}: {error}") from None


def _domain(key: str, spec: Mapping[str, Any]) -> Domain:
    kind = spec.get("type")
    if not isinstance(kind, str) or kind not in KEYS:
        said = "type is missing" if kind is None else f"type {kind!r} is unknown"
        raise UserError(f"{key}: {said}; it is one of float, int, categorical")
    allowed = KEYS[kind] | {"type", "when", "default", "name"}
    for unknown in (str(entry) for entry in spec if entry not in allowed):
        hint = _nearest(unknown, sorted(allowed)) or f"; {kind} takes {', '.join(sorted(KEYS[kind]))}"
        raise UserError(f"{key}.{unknown}: unknown key{hint}")
    if kind == "fixed":
        return Fixed(_value(spec.get("value")))
    if kind == "categorical":
        choices = spec.get("choices")
        if not isinstance(choices, Sequence) or isinstance(choices, str):
            raise UserError(f"{key}.choices: {choices!r} is no list; give a list of values")
        return Categorical(tuple(_value(choice) for choice in choices))
    bounds: dict[str, Any] = {}
    for bound in ("low", "high"):
        value = _value(spec.get(bound))
        if not is_number(value):
            said = "is missing" if spec.get(bound) is None else f"{spec[bound]!r} is no number"
            raise UserError(f"{key}.{bound}: {said}; give a number")
        bounds[bound] = value
    log = spec.get("log", False)
    if not isinstance(log, bool):
        raise UserError(f"{key}.log: {log!r} is neither true nor false")
    # Int checks that its bounds are whole.
    return Int(**bounds, log=log) if kind == "int" else Float(**bounds, log=log)


def _condition(key: str, when: object) -> Condition | None:
    if when is None:
        return None
    if not isinstance(when, Mapping) or len(when) != 1:
        raise UserError(f"{key}.when: {when!r} is no condition; write e.g. {{n_layers: [2, 3]}}")
    ((parent, allowed),) = when.items()
    if not isinstance(parent, str) or not parent.isprintable():
        raise UserError(f"{key}.when: {parent!r} is no hyperparameter's name; write e.g. {{n_layers: [2, 3]}}")
    if isinstance(allowed, Mapping):
        least: Any = _value(allowed.get("at_least"))
        if set(allowed) != {"at_least"} or not is_value(least) or not is_number(least):
            raise UserError(f"{key}.when.{parent}: {dict(allowed)!r} is no condition; write {{at_least: 2}}")
        return Condition(parent, at_least=least)
    values = allowed if isinstance(allowed, Sequence) and not isinstance(allowed, str) else [allowed]
    if not values:
        raise UserError(f"{key}.when.{parent}: the list is empty, so that {key} would never exist; list a value")
    for value in values:
        if not is_value(_value(value)):
            raise UserError(f"{key}.when.{parent}: {value!r} is no value; list texts, finite numbers, true or false")
    return Condition(parent, tuple(_value(value) for value in values))


def _check_override(name: str, own: Domain, given: Domain) -> None:
    """Raise UserError where the family could not use what is given for its own parameter."""
    key = f"search.space.{name}"
    values: tuple[Value, ...] = ()
    if isinstance(given, Fixed):
        values = (given.value,)
    elif isinstance(given, Categorical):
        values = given.choices
    if isinstance(own, Categorical) and not all(is_number(choice) for choice in own.choices):
        wrong = [value for value in values if not own.contains(value)] or ([] if values else [str(given)])
        if wrong:
            raise UserError(f"{key}: {wrong[0]!r} is not among the family's choices; take from {own}")
        return
    for value in values:
        if not isinstance(own, Fixed) and not is_number(value):
            raise UserError(f"{key}: {value!r} is no number; the family's own domain is {own}")
        if isinstance(own, Int) and not isinstance(value, int):
            raise UserError(f"{key}: {value!r} is not a whole number; the family's own domain is {own}")
    if isinstance(own, Int) and isinstance(given, Float):
        raise UserError(f"{key}: type float does not fit a whole number; use type: int")


def _value(value: Any) -> Any:
    """Return a YAML scalar; YAML 1.1 reads 1e-4 as a text, which nobody means."""
    if isinstance(value, str) and EXPONENT.fullmatch(value.strip()):
        return float(value)
    return value


def _nearest(word: str, words: Sequence[str]) -> str:
    found = difflib.get_close_matches(word, words, n=1)
    return f"; did you mean {found[0]}?" if found else ""
