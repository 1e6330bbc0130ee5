"""Edges: a best value at a bound of the space says that the space was too small."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from hone.space import Float, Int, SearchSpace
from hone.trial import Config, Value

NEAR = 0.01  # of the domain's width, on its own scale


@dataclass(frozen=True)
class Edge:
    """A value at or near a bound, and what to do about it."""

    name: str
    value: Value
    side: Literal["low", "high"]
    bound: float
    message: str


def at_edge(
    space: SearchSpace, config: Config, limits: Mapping[str, tuple[float, float]] = MappingProxyType({})
) -> list[Edge]:
    """Return an edge for each number of a config that is within 1 % of a bound of the space (the user's, not narrowed).

    A lower bound of 0, or of 1 for an integer, is as low as it can sensibly be, and is not reported; nor is a bound
    that cannot be widened. limits: how far bounds may reach, low and high, by name.
    """
    edges = []
    for name, value in config.items():
        domain = space.domains.get(name)
        if not isinstance(domain, Float | Int) or domain.low == domain.high:
            continue
        lowest, highest = limits.get(name, (-math.inf, math.inf))
        u = _position(domain, float(value))
        if u >= 1 - NEAR:
            edges += [_edge(name, value, "high", domain.high)] if domain.high < highest else []
        elif (
            u <= NEAR and domain.low > lowest and not (domain.low == 0 or (isinstance(domain, Int) and domain.low == 1))
        ):
            edges.append(_edge(name, value, "low", domain.low))
    return edges


def _position(domain: Float | Int, value: float) -> float:
    low, high = float(domain.low), float(domain.high)
    if domain.log:
        low, high, value = math.log(low), math.log(high), math.log(value)
    return (value - low) / (high - low)


def _edge(name: str, value: Value, side: Literal["low", "high"], bound: float) -> Edge:
    where = "at" if f"{value:g}" == f"{bound:g}" else "near"
    beyond = f"raise search.space.{name}.high to search above" if side == "high" else ""
    beyond = beyond or f"lower search.space.{name}.low to search below"
    message = f"The best {name}, {value:g}, is {where} its bound {bound:g}; {beyond} it."
    return Edge(name, value, side, bound, message)
