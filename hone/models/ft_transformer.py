"""The FT-Transformer of Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data", section 3.3.

Each column becomes a token; the outputs are read off a token of their own behind the last block.
"""

import torch
from rtdl_revisiting_models import FTTransformer
from torch import Tensor, nn

from hone.models.inputs import InputSpec
from hone.models.optimisation import with_training
from hone.space import Float, Int
from hone.trial import Config

N_HEADS = 8
HIDDEN_FACTOR = 4 / 3  # of the feed-forward layer, whose ReGLU has two of them

SPACE = with_training(
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


class Transformer(nn.Module):
    """A token for each column, ``n_blocks`` of attention and feed-forward, and a linear head.

    ``token_size`` is rounded to a multiple of the attention's heads.
    """

    def __init__(self, inputs: InputSpec, config: Config) -> None:
        super().__init__()
        self.has_numbers, self.has_categories = inputs.n_num > 0, len(inputs.cardinalities) > 0
        self.transformer = FTTransformer(
            n_cont_features=inputs.n_num,
            cat_cardinalities=list(inputs.cardinalities),
            d_out=inputs.n_outputs,
            n_blocks=int(config["n_blocks"]),
            d_block=N_HEADS * max(1, round(int(config["token_size"]) / N_HEADS)),
            attention_n_heads=N_HEADS,
            attention_dropout=float(config["attention_dropout"]),
            ffn_d_hidden=None,
            ffn_d_hidden_multiplier=HIDDEN_FACTOR,
            ffn_dropout=float(config["dropout"]),
            residual_dropout=float(config["residual_dropout"]),
        )
        if self.has_categories:  # code 0 starts neutral: training rows may have no such value to learn it from
            for embedding in self.transformer.cat_embeddings.embeddings:
                nn.init.zeros_(embedding.weight[0])

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        """Return logits ``[b, n_classes]``, or ``[b, 1]``."""
        numbers = x_num if self.has_numbers else None
        outputs: torch.Tensor = self.transformer(numbers, x_cat if self.has_categories else None)
        return outputs
