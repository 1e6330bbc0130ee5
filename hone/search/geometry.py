"""A search space as a surrogate sees it: many points at once, snapped to what exists, as features.

Notation
--------
u   points of the full space's unit cube [n, d], as `SearchSpace.encode` gives them
x   features [n, f]: a number is its coordinate; a choice is as many columns as it has values, one of them 1 / sqrt 2,
    so that two different choices are 1 apart

All points are in the full space's coordinates, whatever part of it is being searched: what a model has learned
stays true when the space is narrowed.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hone.domains import decode_all, encode_all
from hone.search.gaussian_process import Layout
from hone.space import CHEAPEST, Categorical, Condition, Domain, Fixed, Float, Int, SearchSpace, growth
from hone.trial import Trial

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

ROUNDING = 1e-9  # of coordinates


@dataclass(frozen=True, eq=False)
class Geometry:
    """The full space, and the narrowed part of it in which most proposals lie."""

    full: SearchSpace
    narrow: SearchSpace

    @cached_property
    def key(self) -> str:
        """Return a text that is equal for equal full spaces only."""
        return json.dumps(self.full.to_json())

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Return the positions of the parameters that can vary in the full space."""
        return tuple(i for i, domain in enumerate(self.full.domains.values()) if _n_values(domain) > 1)

    @cached_property
    def layout(self) -> Layout:
        """Return which lengthscale each feature has, and which are warped."""
        scales: list[int] = []
        warped: list[bool] = []
        for scale, i in enumerate(self.free):
            domain = self._domains[i]
            columns = len(domain.choices) if isinstance(domain, Categorical) else 1
            scales += [scale] * columns
            warped += [not isinstance(domain, Categorical)] * columns
        return Layout(tuple(scales), tuple(warped))

    def holds(self, trial: Trial) -> bool:
        """Return whether a trial's config lies in the full space."""
        return self._point(trial) is not None

    def points(self, trials: Sequence[Trial]) -> Array:
        """Return the points of trials whose configs lie in the full space, [n, d]."""
        rows = [self._point(trial) for trial in trials]
        return np.array(rows, dtype=np.float64).reshape(len(rows), self.full.dimension)

    def _point(self, trial: Trial) -> Array | None:
        # Generation after generation the same configs are asked for.
        if trial.identity not in self._known:
            inside = self.full.contains(trial.config)
            self._known[trial.identity] = self.full.encode(trial.config) if inside else None
        return self._known[trial.identity]

    @cached_property
    def _known(self) -> dict[str, Array | None]:
        return {}

    def features(self, u: Array) -> Array:
        """Return the features of points."""
        columns = []
        for i in self.free:
            domain = self._domains[i]
            if isinstance(domain, Categorical):
                chosen = decode_all(domain, u[:, i])[:, None] == np.arange(len(domain.choices))
                columns.append(chosen / math.sqrt(2))
            else:
                columns.append(u[:, i : i + 1])
        return np.concatenate(columns, axis=1) if columns else np.zeros((len(u), 0))

    def log_prices(self, u: Array) -> Array:
        """Return the logarithm of what an epoch costs at each of these points, [n]; 0 where the space has no prices."""
        found = np.zeros(len(u))
        for i, (name, domain) in enumerate(self.full.domains.items()):
            price = self.full.prices.get(name)
            if isinstance(price, Mapping) and isinstance(domain, Categorical):
                each = [math.log(price.get(str(choice), 1.0)) for choice in domain.choices]
                found += np.array(each)[decode_all(domain, u[:, i]).astype(np.int64)]
            elif isinstance(price, tuple) and isinstance(domain, Float | Int):
                # Where it is inactive, a parameter has its default, which costs 1.
                found += price[1] * np.log(growth(decode_all(domain, u[:, i]), price[0]))
        return np.maximum(found, math.log(CHEAPEST)) if self.full.prices else found

    def affordable(self, log_prices: Array) -> Mask:
        """Return which of these, of points, are not above what the space allows, [n]."""
        allowed: Mask = log_prices <= math.log(self.full.dearest) + ROUNDING
        return allowed

    def spread(self, u: Array) -> Array:
        """Return points of the unit cube as points of the narrowed space."""
        columns = []
        for i, (domain, part) in enumerate(zip(self._domains, self._parts, strict=True)):
            values = decode_all(part, u[:, i])
            if isinstance(domain, Categorical) and isinstance(part, Categorical):
                values = np.array([domain.index(choice) for choice in part.choices], dtype=np.float64)[
                    values.astype(np.int64)
                ]
            columns.append(encode_all(domain, values))
        return np.column_stack(columns)

    def snapped(self, u: Array) -> Array:
        """Return the points of the configs that points decode to: integers are whole, what is inactive is default."""
        values = [decode_all(domain, u[:, i]) for i, domain in enumerate(self._domains)]
        snapped = np.column_stack([encode_all(domain, v) for domain, v in zip(self._domains, values, strict=True)])
        active: dict[str, Mask] = {}
        for i, (name, domain) in enumerate(self.full.domains.items()):
            active[name] = np.ones(len(u), dtype=np.bool_)
            if condition := self.full.conditions.get(name):
                parent = list(self.full.domains).index(condition.parent)
                active[name] = active[condition.parent] & _holds(condition, self._domains[parent], values[parent])
                snapped[~active[name], i] = domain.encode(self.full.defaults[name])
        return snapped

    def inside(self, u: Array) -> Mask:
        """Return which snapped points lie in the narrowed space; a parameter at its default there may be inactive."""
        inside = np.ones(len(u), dtype=np.bool_)
        for i, (name, domain) in enumerate(self.full.domains.items()):
            part = self.narrow.domains[name]
            if part == domain:
                continue
            values = decode_all(domain, u[:, i])
            if isinstance(domain, Categorical):
                kept = [part.contains(choice) for choice in domain.choices]
                here = np.array(kept)[values.astype(np.int64)]
            elif isinstance(part, Int):
                here = (values >= part.low) & (values <= part.high)
            elif isinstance(part, Float):
                # A point clipped to a bound is beyond it by rounding, once snapped.
                nearest = np.clip(u[:, i], domain.encode(part.low), domain.encode(part.high))
                here = np.abs(u[:, i] - nearest) < ROUNDING
            else:
                continue
            # An inactive parameter has the full space's default, which the narrowed space may lack.
            inside &= here | ((u[:, i] == domain.encode(self.full.defaults[name])) & (name in self.full.conditions))
        return inside

    def clipped(self, u: Array) -> Array:
        """Return points with numbers moved to the narrowed space's nearest bound; choices stay."""
        u = u.copy()
        for i, (domain, part) in enumerate(zip(self._domains, self._parts, strict=True)):
            if isinstance(domain, Float | Int) and isinstance(part, Float | Int) and part != domain:
                low, high = domain.encode(part.low), domain.encode(part.high)
                u[:, i] = np.clip(u[:, i], low, high)
        return u

    @property
    def is_narrowed(self) -> bool:
        """Return whether anything lies outside the narrowed space."""
        return dict(self.full.domains) != dict(self.narrow.domains)

    @cached_property
    def categories(self) -> Mask:
        """Return which coordinates are choices, [d]."""
        return np.array([isinstance(domain, Categorical) for domain in self._domains])

    @cached_property
    def _domains(self) -> tuple[Domain, ...]:
        return tuple(self.full.domains.values())

    @cached_property
    def _parts(self) -> tuple[Domain, ...]:
        return tuple(self.narrow.domains[name] for name in self.full.domains)


def _n_values(domain: Domain) -> float:
    match domain:
        case Fixed():
            return 1
        case Categorical(choices):
            return len(choices)
        case Float(low, high) | Int(low, high):
            return math.inf if high > low else 1


def _holds(condition: Condition, parent: Domain, values: Array) -> Mask:
    """Return where a condition lets its parent's values through."""
    if isinstance(parent, Categorical):
        allowed = [condition.holds({condition.parent: choice}) for choice in parent.choices]
        return np.array(allowed)[values.astype(np.int64)]
    if isinstance(parent, Fixed):
        return np.full(len(values), condition.holds({condition.parent: parent.value}))
    if condition.at_least is not None:
        return values >= condition.at_least
    return np.isin(values, [v for v in condition.allowed or () if isinstance(v, int | float)])
