"""The FT-Transformer of Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data", section 3.3.

Each column becomes a token; the outputs are read off a token of their own behind the last block.
"""

import torch
from rtdl_revisiting_models import FTTransformer
from torch import Tensor, nn

from hone.models.inputs import InputSpec
from hone.trial import Config

N_HEADS = 8
HIDDEN_FACTOR = 4 / 3  # of the feed-forward layer, whose ReGLU has two of them


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
