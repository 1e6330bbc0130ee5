"""Former weights that networks may start from, and the search space where there are some."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hone.data.problem import Problem
from hone.errors import UserError
from hone.models import resolved
from hone.models.spaces import TRAINING
from hone.space import Categorical, Condition, Fixed, Float, Int, SearchSpace
from hone.trial import Config

if TYPE_CHECKING:
    from torch import Tensor

START, RATE, FROZEN = "start", "backbone_rate", "frozen_epochs"
PRETRAINED, SCRATCH = "pretrained", "scratch"


@dataclass(frozen=True)
class Former:
    """What a network may start from: a state dict and, of a model of Hone's, what else is known of it.

    family, config, problem, columns (the raw ones it reads): None, or empty, of weights from elsewhere.
    """

    weights: "Mapping[str, Tensor]"
    family: str | None = None
    config: Config = field(default_factory=dict)
    problem: Problem | None = None
    columns: tuple[str, ...] = ()


def with_start(space: SearchSpace, epochs: int) -> SearchSpace:
    """Return a family's space with what there is to choose where former weights are at hand.

    start: pretrained or scratch, so that the search itself finds out whether they help. backbone_rate: factor on the
    learning rate of what was loaded. frozen_epochs: epochs before that learns at all, at most a ninth of `epochs`,
    the full resource, so that short trainings are not all frozen.
    """
    if taken := [name for name in (START, RATE, FROZEN) if name in space.domains]:
        raise UserError(f"model.start_from: the family has a hyperparameter {taken[0]!r} of its own; rename that one")
    pretrained = Condition(START, allowed=(PRETRAINED,))
    return SearchSpace(
        {
            **space.domains,
            START: Categorical((PRETRAINED, SCRATCH)),
            RATE: Float(0.01, 1.0, log=True),
            FROZEN: Int(0, max(1, epochs // 9)),
        },
        {**space.conditions, RATE: pretrained, FROZEN: pretrained},
        {**space.defaults, START: PRETRAINED, RATE: 0.3, FROZEN: 0},
        space.prices,
    )


def shaped_as(space: SearchSpace, former: Former, family: str, free: Mapping[str, object]) -> SearchSpace:
    """Return the space with the network's own hyperparameters fixed to those of a former model of the same family.

    A network of another shape could take nothing over. free: names that stay as they are. Raises UserError if the
    former config has values that the family cannot use.
    """
    if former.family is None:
        return space
    kind, config = former.family, former.config
    if kind != family:  # auto's choice may be this family
        kind, config = resolved(kind, config)
    if kind != family:
        return space
    own = [name for name in space.names if name not in TRAINING.domains and name not in (START, RATE, FROZEN)]
    values = {name: config.get(name, space.defaults[name]) for name in own}
    try:
        fixed = space.merged(values)
    except UserError as error:
        raise UserError(f"model.start_from: the model's own config cannot be used: {error}") from None
    assert all(isinstance(fixed.domains[name], Fixed) for name in own)
    return space.with_domains({name: fixed.domains[name] for name in own if name not in free})
