"""The search spaces of the families, apart from their networks: params are checked without waiting for torch."""

from collections.abc import Mapping

from hone.space import Categorical, Condition, Domain, Float, Int, SearchSpace
from hone.trial import Config

MOST_LAYERS = 4

TRAINING = SearchSpace(
    {
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "batch_size": Int(16, 256, log=True),
        "optimizer": Categorical(("adamw", "sgd")),
        "momentum": Float(0.0, 0.99),
        "weight_decay": Float(1e-6, 1e-1, log=True),
        "schedule": Categorical(("constant", "cosine", "one_cycle")),
        "label_smoothing": Float(0.0, 0.2),
        "target_transform": Categorical(("none", "yeo_johnson")),
    },
    {"momentum": Condition("optimizer", allowed=("sgd",))},
    {
        "learning_rate": 2e-3,
        "batch_size": 64,
        "optimizer": "adamw",
        "momentum": 0.9,
        "weight_decay": 1e-2,
        "schedule": "cosine",
        "label_smoothing": 0.0,
        "target_transform": "none",
    },
)
"""The hyperparameters of training, which every family shares: they come first in each default space."""


def with_training(domains: Mapping[str, Domain], conditions: Mapping[str, Condition], default: Config) -> SearchSpace:
    """Return a family's space: the hyperparameters of training, then its own."""
    return SearchSpace(
        {**TRAINING.domains, **domains}, {**TRAINING.conditions, **conditions}, {**TRAINING.defaults, **default}
    )


EMBEDDED: dict[str, Domain] = {
    "embedding": Categorical(("none", "periodic", "piecewise_linear")),
    "frequency_scale": Float(1e-2, 1.0, log=True),
}
EMBEDDED_IF = {"frequency_scale": Condition("embedding", allowed=("periodic",))}
EMBEDDED_DEFAULT: Config = {"embedding": "piecewise_linear", "frequency_scale": 0.1}
"""Of families that embed numeric columns, see `hone.models.embeddings`."""

AUGMENTED: dict[str, Domain] = {
    "flip": Categorical((True, False)),
    "crop": Float(0.0, 0.5),
    "colour": Float(0.0, 0.8),
    "mixing": Categorical(("none", "mixup", "cutmix")),
    "mixing_alpha": Float(0.1, 1.0, log=True),
}
AUGMENTED_IF = {"mixing_alpha": Condition("mixing", allowed=("mixup", "cutmix"))}
AUGMENTED_DEFAULT: Config = {"flip": True, "crop": 0.2, "colour": 0.2, "mixing": "none", "mixing_alpha": 0.3}
"""Of families for pictures, see `hone.models.augmentation`."""

MLP = with_training(
    {
        "n_layers": Int(1, MOST_LAYERS),
        **{f"units_{i}": Int(16, 512, log=True) for i in range(1, MOST_LAYERS + 1)},
        "activation": Categorical(("relu", "gelu", "silu")),
        "dropout": Float(0.0, 0.5),
        **EMBEDDED,
    },
    {
        **{f"units_{i}": Condition("n_layers", at_least=i) for i in range(2, MOST_LAYERS + 1)},
        **EMBEDDED_IF,
    },
    {
        "n_layers": 2,
        **{f"units_{i}": 128 for i in range(1, MOST_LAYERS + 1)},
        "activation": "relu",
        "dropout": 0.1,
        **EMBEDDED_DEFAULT,
    },
)
RESNET = with_training(
    {
        "n_blocks": Int(1, 4),
        "units": Int(32, 384, log=True),
        "hidden_factor": Float(1.0, 4.0),
        "dropout": Float(0.0, 0.5),
        "residual_dropout": Float(0.0, 0.3),
        **EMBEDDED,
    },
    EMBEDDED_IF,
    {
        "n_blocks": 2,
        "units": 128,
        "hidden_factor": 2.0,
        "dropout": 0.2,
        "residual_dropout": 0.0,
        **EMBEDDED_DEFAULT,
    },
)
REALMLP = with_training(
    {
        "n_layers": Int(1, 4),
        "units": Int(32, 512, log=True),
        "activation": Categorical(("mish", "selu", "relu")),
        "dropout": Float(0.0, 0.5),
        "pbld_scale": Float(1e-2, 1.0, log=True),
        "beta2": Categorical((0.95, 0.999)),
        "schedule": Categorical(("constant", "cosine", "one_cycle", "coslog4")),
    },
    {},
    {
        "n_layers": 3,
        "units": 128,
        "activation": "mish",
        "dropout": 0.15,
        "pbld_scale": 0.1,
        "beta2": 0.95,
        "learning_rate": 2.5e-3,
        "weight_decay": 2e-2,
        "schedule": "coslog4",
        "label_smoothing": 0.1,
    },
)
# The paper has 32 members of width 512, for a GPU; on a core of a CPU that is minutes an epoch.
TABM = with_training(
    {
        "n_members": Int(4, 32, log=True),
        "n_layers": Int(1, 4),
        "units": Int(32, 512, log=True),
        "dropout": Float(0.0, 0.5),
        **EMBEDDED,
    },
    EMBEDDED_IF,
    {
        "n_members": 12,
        "n_layers": 2,
        "units": 128,
        "dropout": 0.1,
        **EMBEDDED_DEFAULT,
    },
)
FT_TRANSFORMER = with_training(
    {
        "n_blocks": Int(1, 4),
        "token_size": Int(16, 192, log=True),
        "attention_dropout": Float(0.0, 0.5),
        "dropout": Float(0.0, 0.5),
        "residual_dropout": Float(0.0, 0.2),
    },
    {},
    {
        "n_blocks": 2,
        "token_size": 64,
        "attention_dropout": 0.1,
        "dropout": 0.05,
        "residual_dropout": 0.0,
        "learning_rate": 1e-3,
    },
)
CNN = with_training(
    {
        "batch_size": Int(8, 128, log=True),
        "n_stages": Int(3, 5),
        "n_convolutions": Int(1, 2),
        "width": Int(8, 32, log=True),
        "dropout": Float(0.0, 0.5),
        **AUGMENTED,
    },
    AUGMENTED_IF,
    {"batch_size": 16, "n_stages": 4, "n_convolutions": 1, "width": 16, "dropout": 0.1, **AUGMENTED_DEFAULT},
)
RESNET_IMAGE = with_training(
    {
        "batch_size": Int(8, 128, log=True),
        "n_blocks": Int(1, 3),
        "width": Int(8, 32, log=True),
        "dropout": Float(0.0, 0.5),
        **AUGMENTED,
    },
    AUGMENTED_IF,
    {"batch_size": 16, "n_blocks": 1, "width": 16, "dropout": 0.1, **AUGMENTED_DEFAULT},
)
