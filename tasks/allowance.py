"""What a run may spend, as the stage `budget` wrote it down, and what its params are within that."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from tasks import files
from tasks.params import Params, check_budget

if TYPE_CHECKING:
    from tasks.stage import Stage

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
FILE = ("artifacts", "budget.json")


@dataclass(frozen=True)
class Allowance:
    """Epochs for the search; under a time limit also what else of a run has to keep within it. None: as params say.

    training: epochs of one training, at most. replays: of the finalists and the default, in whole trainings.
    networks: of the baseline. seeds: of each final model. final: what the winner's final networks may take, in whole
    trainings of price 1. prices: of epochs, by which a dear config has fewer of them; None: the family's own, if it has
    any. dearest: price above which nothing is searched.
    """

    epochs: Positive
    training: Annotated[int, Field(ge=1)] | None = None
    replays: Annotated[int, Field(ge=0)] | None = None
    networks: Annotated[int, Field(ge=0)] | None = None
    seeds: Annotated[int, Field(ge=1)] | None = None
    final: Positive | None = None
    dearest: Positive | None = None
    prices: Mapping[str, Mapping[str, Positive] | tuple[Positive, Finite]] | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, from which `from_json` builds an equal allowance."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "Allowance":
        """Return the allowance that `to_json` described; ValueError for anything else."""
        return TypeAdapter(cls).validate_python(data)


def within(stage: "Stage") -> "Stage":
    """Return the stage as it runs within what `budget` allows.

    Raises UserError if that does not pay for one trial of each phase: a time limit's epochs were measured once, and
    the phases' shares and epochs may have been changed since.
    """
    allowed = Allowance.from_json(files.read_json(stage.path(*FILE)))
    params = shortened(stage.params, allowed)
    check_budget(params, allowed.epochs)
    return replace(stage, params=params, allowed=allowed)


def shortened(params: Params, allowed: Allowance) -> Params:
    """Return params with trainings as long, and networks as many, as a time limit allows."""
    search, train = params.search, params.train
    if allowed.training is not None and allowed.training < train.epochs:
        share = allowed.training / train.epochs

        def shorter(epochs: int) -> int:
            return max(1, round(epochs * share))

        search = search.model_copy(
            update={
                "random": search.random.model_copy(update={"epochs": shorter(search.random.epochs)}),
                "bayes": search.bayes.model_copy(update={"epochs": shorter(search.bayes.epochs)}),
                "hyperband": search.hyperband.model_copy(update={"min_epochs": shorter(search.hyperband.min_epochs)}),
            }
        )
        patience = math.ceil(train.patience * share)
        train = train.model_copy(update={"epochs": allowed.training, "patience": patience})
    changes: dict[str, Any] = {"search": search, "train": train}
    if allowed.networks is not None:
        changes["baseline"] = params.baseline.model_copy(update={"networks": allowed.networks})
    if allowed.seeds is not None:
        changes["retrain"] = params.retrain.model_copy(update={"seeds": allowed.seeds})
    return params.model_copy(update=changes)
