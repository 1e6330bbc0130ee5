"""The family as the first hyperparameter: one space over several families, with what they share said once.

A hyperparameter that several families have is one parameter here, over all that any of them allows, and exists
where the config's family has it. What is learned of a learning rate with one family then tells something of the next.
"""

from collections.abc import Iterable, Mapping

from hone.errors import UserError
from hone.models import prices, spaces
from hone.space import Categorical, Condition, Domain, Float, Int, SearchSpace
from hone.trial import Config, Value

FAMILY = "family"
SPACES: Mapping[str, SearchSpace] = {
    "mlp": spaces.MLP,
    "realmlp": spaces.REALMLP,
    "tabm": spaces.TABM,
    "resnet": spaces.RESNET,
    "ft_transformer": spaces.FT_TRANSFORMER,
}
PRICES: Mapping[str, float] = {"mlp": 1.0, "realmlp": 1.4, "tabm": 7.0, "resnet": 2.7, "ft_transformer": 15.0}
"""What an epoch of a family takes at mlp's default sizes, beside mlp's: `python -m benchmarks.families`, rounded."""

# One optimizer for all, and one width for all layers: with the family to choose, there is enough to search.
FIXED: Config = {"optimizer": "adamw"}
LEFT_OUT = {"optimizer", "momentum", *(f"units_{i}" for i in range(1, spaces.MOST_LAYERS + 1))}


def _union(domains: Iterable[Domain]) -> Domain:
    """Return the domain of all that any of these allows, which are of one kind."""
    first, *others = domains
    for other in others:
        match first, other:
            case Float(), Float():
                first = Float(min(first.low, other.low), max(first.high, other.high), first.log)
            case Int(), Int():
                first = Int(min(first.low, other.low), max(first.high, other.high), first.log)
            case Categorical(), Categorical():
                first = Categorical(tuple(dict.fromkeys([*first.choices, *other.choices])))
            case _:
                raise TypeError(f"{first} and {other} are different kinds of domain")
    return first


def _own(family: str) -> dict[str, Domain]:
    own = {name: domain for name, domain in SPACES[family].domains.items() if name not in LEFT_OUT}
    return own | ({"units": spaces.MLP.domains["units_1"]} if family == "mlp" else {})


def _space() -> SearchSpace:
    owners: dict[str, list[str]] = {}
    for family in SPACES:
        for name in _own(family):
            owners.setdefault(name, []).append(family)
    domains: dict[str, Domain] = {FAMILY: Categorical(tuple(SPACES))}
    conditions: dict[str, Condition] = {}
    for name, families in owners.items():
        domains[name] = _union(_own(family)[name] for family in families)
        inherited = [SPACES[family].conditions.get(name) for family in families if name in SPACES[family].conditions]
        if inherited and inherited[0] is not None:  # its parent has the condition on the family
            conditions[name] = inherited[0]
        elif len(families) < len(SPACES):
            conditions[name] = Condition(FAMILY, allowed=tuple(families))
    defaults: dict[str, Value] = {FAMILY: "mlp"}
    for family in reversed(tuple(SPACES)):  # the default family's own come last, and count
        defaults |= _default(family)
    space = SearchSpace(domains, conditions, defaults | {FAMILY: "mlp"})
    return SearchSpace(domains, conditions, space.defaults, prices.rough(space, PRICES))


def _default(family: str) -> dict[str, Value]:
    default = {name: value for name, value in SPACES[family].defaults.items() if name not in LEFT_OUT}
    return default | ({"units": spaces.MLP.defaults["units_1"]} if family == "mlp" else {}) | {FAMILY: family}


SPACE = _space()


def starts(space: SearchSpace) -> tuple[Config, ...]:
    """Return the default config of each family, as far as it lies in a space that was made from this one.

    Batches are as many times larger as the space's default is.
    """
    found, batch = [], "batch_size"
    for family in SPACES:
        values = {name: value for name, value in _default(family).items() if name in space.domains}
        if batch in values:
            values[batch] = round(float(values[batch]) * float(space.defaults[batch]) / float(SPACE.defaults[batch]))
        config = space.trimmed({**space.defaults, **values})
        found += [config] if space.contains(config) else []
    return tuple(found)


def resolved(config: Config) -> tuple[str, Config]:
    """Return the family that a config names, and the config as that family takes it."""
    family = str(config.get(FAMILY))
    if family not in SPACES:
        raise UserError(f"search.space.family: {family!r} is unknown; take from {', '.join(SPACES)}")
    own = {name: value for name, value in config.items() if name != FAMILY}
    if family == "mlp":
        own["units_1"] = own.pop("units")
    return family, {**FIXED, **own}
