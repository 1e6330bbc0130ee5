"""Model families by name: their default search spaces, and their networks.

Networks are imported when one is built, and torch with them, which takes a second that a look at params must not.
"""

import difflib
import importlib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from hone.errors import UserError
from hone.models import auto, prices, spaces
from hone.models.inputs import InputSpec, inputs_of
from hone.models.spaces import TRAINING
from hone.seeds import derive
from hone.space import Int, Prices, SearchSpace, reachable
from hone.trial import Config

if TYPE_CHECKING:
    from torch import nn

    from hone.models.augmentation import Augmentation
    from hone.models.trainable import Trainable

__all__ = [
    "FAMILIES",
    "Family",
    "InputSpec",
    "Trainable",
    "augment",
    "build",
    "check_family",
    "check_fits",
    "check_limits",
    "default_space",
    "family_for",
    "fitted",
    "inputs_of",
    "is_trainable",
    "priced",
    "resolved",
    "rough_prices",
    "starts",
    "without",
    "without_idle",
]


@dataclass(frozen=True)
class Family:
    """A kind of network: the space it is tuned over out of the box, and how one is made from a resolved config.

    takes: what a row is to it: a row of a table, or a picture.
    """

    space: SearchSpace
    network: "Callable[[InputSpec, Config], nn.Module]"
    takes: Literal["table", "pictures"] = "table"


def __getattr__(name: str) -> Any:
    """Return `Trainable`, from which a person derives a training of their own."""
    if name == "Trainable":
        from hone.models.trainable import Trainable

        return Trainable
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _network(module: str, name: str) -> "Callable[[InputSpec, Config], nn.Module]":
    """Return what makes a network by the class of that name in a module of this package."""

    def made(inputs: InputSpec, config: Config) -> "nn.Module":
        network: nn.Module = getattr(importlib.import_module(f"{__name__}.{module}"), name)(inputs, config)
        return network

    return made


AUTO = "auto"
FAMILIES: Mapping[str, Family] = {
    "mlp": Family(spaces.MLP, _network("mlp", "MLP")),
    "resnet": Family(spaces.RESNET, _network("resnet", "ResNet")),
    "realmlp": Family(spaces.REALMLP, _network("realmlp", "RealMLP")),
    "tabm": Family(spaces.TABM, _network("tabm", "TabM")),
    "ft_transformer": Family(spaces.FT_TRANSFORMER, _network("ft_transformer", "Transformer")),
    AUTO: Family(auto.SPACE, lambda inputs, config: _made(AUTO, config, inputs)),
    "cnn": Family(spaces.CNN, _network("cnn", "CNN"), "pictures"),
    "resnet_image": Family(spaces.RESNET_IMAGE, _network("resnet_image", "ResNetImage"), "pictures"),
}


FEW_ROWS = 2000
"""Training rows for which the families' own batch sizes are meant; see `fitted`."""
LIMITS: Mapping[str, tuple[float, float]] = {
    "learning_rate": (1e-12, math.inf),
    "batch_size": (1, math.inf),
    "momentum": (0, 0.9999),
    "weight_decay": (0, math.inf),
    "label_smoothing": (0, 0.9999),
    "dropout": (0, 0.9999),
    "residual_dropout": (0, 0.9999),
    "n_layers": (1, spaces.MOST_LAYERS),
    "n_blocks": (1, math.inf),
    "attention_dropout": (0, 0.9999),
    "token_size": (1, math.inf),
    "n_members": (1, math.inf),
    "beta2": (0, 0.999999),
    "n_stages": (1, math.inf),
    "n_convolutions": (1, math.inf),
    "width": (1, math.inf),
    "crop": (0, 0.9),
    "colour": (0, 1),
    "mixing_alpha": (1e-3, math.inf),
    **dict.fromkeys(("units", *(f"units_{i}" for i in range(1, spaces.MOST_LAYERS + 1))), (1, math.inf)),
}
"""Beyond these a network cannot be built or trained, whatever params.yaml says."""


def check_limits(space: SearchSpace) -> None:
    """Raise UserError if a domain reaches beyond what its hyperparameter can be."""
    for name, (low, high) in LIMITS.items():
        domain = space.domains.get(name)
        ends = () if domain is None else (domain.decode(0.0), domain.decode(1.0))
        for value in (end for end in ends if isinstance(end, int | float) and not low <= end <= high):
            bound = f"at least {low:g}" if value < low else f"at most {high:g}"
            raise UserError(f"search.space.{name}: {value!r} cannot be; it must be {bound}")


def check_family(family: str) -> None:
    """Raise UserError unless `family` is one of FAMILIES, or a ``package.module:factory`` (see custom.py)."""
    if family in FAMILIES:
        return
    if ":" in family:
        from hone.models import custom

        return custom.check(family)
    near = difflib.get_close_matches(family, FAMILIES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(f"model.family: {family!r} is unknown; {hint}use {', '.join(FAMILIES)} or package.module:factory")


def check_fits(family: str, takes: Literal["table", "pictures"]) -> None:
    """Raise UserError if a family is not for such rows; a factory of a person's own may be for any."""
    if family_for(family, takes) != family:
        others = [name for name, other in FAMILIES.items() if other.takes == takes]
        theirs = "pictures" if takes == "table" else "tables"
        what = "a table" if takes == "table" else "pictures"
        raise UserError(
            f"model.family: {family} is for {theirs}, and data.source holds {what}; set it to {' or '.join(others)}"
        )


def family_for(family: str, takes: Literal["table", "pictures"]) -> str:
    """Return a family that is for such rows: this one if it is, or is a person's own, else the first."""
    if family not in FAMILIES or FAMILIES[family].takes == takes:
        return family
    return next(name for name, other in FAMILIES.items() if other.takes == takes)


def augment(family: str, config: Config, inputs: InputSpec) -> "Augmentation | None":
    """Return what is done to training pictures; None for a table, and for a factory of a person's own."""
    from hone.models.augmentation import augmentation

    return augmentation(inputs, config) if family in FAMILIES else None


def default_space(family: str) -> SearchSpace:
    """Return the space that a family is tuned over, and its default config; UserError as `check_family`."""
    if family in FAMILIES:
        return FAMILIES[family].space
    check_family(family)
    from hone.models import custom

    return custom.space(family)


def is_trainable(family: str) -> bool:
    """Return whether a family brings its own training (see hone.models.trainable); UserError as `check_family`."""
    if family in FAMILIES:
        return False
    from hone.models import custom

    return custom.is_trainable(family)


def fitted(
    space: SearchSpace, inputs: InputSpec, n_rows: int, skewed: bool = False, stated: Collection[str] = ()
) -> SearchSpace:
    """Return the space as it is searched on a table: without what is idle, batches as large as its rows allow.

    n_rows: training rows. stated: hyperparameters that params.yaml states; a batch size among them is left as it is.
    The families' own are for two thousand rows. A table of ten times as many takes batches of four times the size: an
    epoch is then sooner over, and has steps enough. Prices are 1 at the defaults. skewed: see `without_idle`.
    """
    space = reachable(without_idle(space, inputs, skewed))
    factor = max(1, 2 ** round(0.6 * math.log2(max(1, n_rows) / FEW_ROWS)))
    domains, defaults = dict(space.domains), dict(space.defaults)
    own = TRAINING.domains["batch_size"]
    if isinstance(own, Int) and domains.get("batch_size") == own and "batch_size" not in stated:
        domains["batch_size"] = Int(own.low * factor, own.high * factor, own.log)
        defaults["batch_size"] = int(cast(int, defaults["batch_size"])) * factor
    return SearchSpace(domains, space.conditions, defaults, prices.at_defaults(space.prices, defaults))


def without_idle(space: SearchSpace, inputs: InputSpec, skewed: bool = False) -> SearchSpace:
    """Return the space without hyperparameters that can change nothing on such a table, nor their children.

    Label smoothing needs classes; a numeric embedding needs numeric columns. skewed: whether the target is a skewed
    number; a transform of other targets is not offered.
    """
    return without(
        space,
        *(["label_smoothing"] if inputs.n_outputs == 1 else []),
        *(["embedding", "pbld_scale"] if inputs.n_num == 0 else []),
        *([] if skewed and inputs.n_outputs == 1 else ["target_transform"]),
    )


def without(space: SearchSpace, *names: str) -> SearchSpace:
    """Return the space without some hyperparameters and their children."""
    idle = set(names)
    for name, condition in space.conditions.items():  # a child comes after its parent
        idle |= {name} if condition.parent in idle else set()
    return SearchSpace(
        {name: domain for name, domain in space.domains.items() if name not in idle},
        {name: condition for name, condition in space.conditions.items() if name not in idle},
        {name: value for name, value in space.defaults.items() if name not in idle},
        space.prices,
    )


def build(family: str, config: Config, inputs: InputSpec, seed: int) -> "nn.Module":
    """Return a new network, in training mode, on the CPU; equal arguments give equal weights.

    Its ``forward(x_num float32 [b, n_num], x_cat int64 [b, n_cat])`` returns float32 ``[b, n_outputs]``; x_num of
    pictures is uint8, or float32 in the same units, ``[b, c, h, w]``. Raises UserError as `check_fits`.
    The global generator is left as it was.
    """
    import torch

    check_fits(family, "table" if inputs.picture is None else "pictures")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive(seed, "weights"))
        return _made(family, config, inputs)


def resolved(family: str, config: Config) -> tuple[str, Config]:
    """Return the family and config that are trained: ``auto`` stands for the family that its config names."""
    return auto.resolved(config) if family == AUTO else (family, config)


def priced(family: str) -> bool:
    """Return whether configs of a family differ in what an epoch of theirs counts."""
    return family in FAMILIES and bool(FAMILIES[family].space.prices)


def rough_prices(family: str, space: SearchSpace) -> Prices:
    """Return what an epoch takes beside the default config's, by what is known beforehand; see `hone.models.prices`."""
    return prices.rough(space, auto.PRICES if family == AUTO else None)


def starts(family: str, space: SearchSpace) -> tuple[Config, ...]:
    """Return configs to begin a search with, behind the default: of ``auto``, the families' own defaults."""
    return auto.starts(space) if family == AUTO else ()


def _made(family: str, config: Config, inputs: InputSpec) -> "nn.Module":
    family, config = resolved(family, config)
    if family in FAMILIES:
        return FAMILIES[family].network(inputs, config)
    from hone.models import custom

    return custom.build(family, config, inputs)
