"""Narrowing: from the best trials of a phase to the space of the next, with a reason for every change.

Notation
--------
n   configs compared, all at one fidelity (hone/search/standings.py)
k   the best of them, ceil(keep * n)
m   configs compared that lie within the range of the k best
u   their coordinates in the old domain, in [0, 1]

Nothing is cut by chance: a domain is narrowed only if it would be a surprise (below 5%) for k of the n configs, drawn
blindly, to lie so close together. The null distribution is that of the configs tried, so it holds for a surrogate's
proposals too, which crowd wherever the surrogate sent them. A number then keeps the range of the k best, extended on
each side by range / (k - 1), the unbiased estimate of the ends of the uniform distribution that k draws came from
(David and Nagaraja, Order Statistics, 2003).
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hone.search.standings import best_first, standings
from hone.space import Categorical, Domain, Fixed, Float, Int, SearchSpace
from hone.trial import Config, Result, Value

FEWEST = 4  # best configs below which nothing is concluded
NARROWEST = 0.25  # of the old width: what crowds together may be what a surrogate happened to try
WORTHWHILE = 0.9  # of the old width; a cut smaller than that is noise
SURPRISE = 0.05


@dataclass(frozen=True)
class Change:
    """One domain's narrowing, in words."""

    name: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True)
class Narrowing:
    """The narrowed space, and what was changed, in the space's order."""

    space: SearchSpace
    changes: tuple[Change, ...]


def narrow(space: SearchSpace, results: Sequence[Result], keep: float) -> Narrowing:
    """Return the part of `space` in which the best share `keep` of the results lies.

    space: the former phase's. Only configs that reached the highest fidelity with enough points are used; too
    few, and the space is returned as it is. All of the k best configs' values lie inside the narrowed space: one
    that came from outside widens it again.
    """
    compared = [s.config for s in best_first(standings(results, math.ceil(FEWEST / keep))) if s.reached]
    best = compared[: math.ceil(keep * len(compared))]
    domains: dict[str, Domain] = {}
    changes = []
    for name, domain in space.domains.items():
        after, reason = _narrowed(name, domain, compared, best)
        if after != domain:
            domains[name] = after
            changes.append(Change(name, str(domain), str(after), reason))
    return Narrowing(space.with_domains(domains), tuple(changes))


def _narrowed(name: str, domain: Domain, compared: Sequence[Config], best: Sequence[Config]) -> tuple[Domain, str]:
    # A conditional parameter is judged by the configs that have it.
    among = [config for config in compared if name in config]
    top = [config for config in best if name in config]
    if len(top) < FEWEST:
        return domain, ""
    match domain:
        case Fixed():
            return domain, ""
        case Categorical():
            return _fewer_choices(name, domain, among, top)
        case Float() | Int():
            return _shorter(name, domain, among, top)


def _shorter(name: str, domain: Float | Int, among: Sequence[Config], top: Sequence[Config]) -> tuple[Float | Int, str]:
    values = [float(config[name]) for config in top]
    lowest, highest = min(values), max(values)
    ends = f"between {lowest:g} and {highest:g}" if lowest < highest else f"at {lowest:g}"
    reason = f"the best {len(top)} of {len(among)} trials lie {ends}"
    low, high = 0.0, 1.0
    m = sum(lowest <= float(config[name]) <= highest for config in among)
    if chance_of_range(len(among), m, len(top)) < SURPRISE:
        low, high = _extended(domain.encode(lowest), domain.encode(highest), len(top))
    if high - low > WORTHWHILE:
        low, high = 0.0, 1.0
        reason += ", outside the space of the former phase"
    # Decoding rounds; the best values themselves must stay inside.
    lower, upper = min(domain.decode(low), lowest), max(domain.decode(high), highest)
    if isinstance(domain, Int):
        return Int(int(lower), int(upper), domain.log), reason
    return Float(lower, upper, domain.log), reason


def _extended(low: float, high: float, k: int) -> tuple[float, float]:
    """Return the interval of the unit line that k draws from low to high are expected to come from."""
    margin = (high - low) / (k - 1)
    half = max(high - low + 2 * margin, NARROWEST) / 2
    middle = min(max((low + high) / 2, NARROWEST / 2), 1 - NARROWEST / 2)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _fewer_choices(
    name: str, domain: Categorical, among: Sequence[Config], top: Sequence[Config]
) -> tuple[Categorical, str]:
    kept, dropped = [], []
    for choice in domain.choices:
        n_tried = _n_with(name, choice, among)
        if _n_with(name, choice, top) == 0 and chance_of_absence(len(among), n_tried, len(top)) < SURPRISE:
            dropped.append(f"{choice} (tried {n_tried} times)")
        else:
            kept.append(choice)
    back = tuple(
        {json.dumps(config[name]): config[name] for config in top if not domain.contains(config[name])}.values()
    )
    share = f"of the best {len(top)} of {len(among)} trials"
    reasons = [f"none {share} has {', '.join(dropped)}"] if dropped else []
    reasons += [f"one {share} has {', '.join(map(str, back))}, outside the space of the former phase"] if back else []
    return Categorical((*kept, *back)), "; ".join(reasons)


def _n_with(name: str, choice: Value, configs: Sequence[Config]) -> int:
    return sum(Categorical((choice,)).contains(config[name]) for config in configs)


def chance_of_absence(n: int, n_tried: int, k: int) -> float:
    """Return the probability that k of n configs, drawn blindly, hold none of the n_tried that have a choice."""
    return math.comb(n - n_tried, k) / math.comb(n, k)


def chance_of_range(n: int, m: int, k: int) -> float:
    """Return the probability that k of n ranks, drawn blindly, lie within some m neighbouring ones.

    Every subset that does is counted once: by the n - m + 1 windows, less the n - m overlaps of neighbours.
    Ties only make m larger, and so the answer more careful.
    """
    return ((n - m + 1) * math.comb(m, k) - (n - m) * math.comb(m - 1, k)) / math.comb(n, k)
