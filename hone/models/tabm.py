"""TabM: an ensemble of multilayer perceptrons in one network (Gorishniy et al. 2025, "TabM: Advancing Tabular Deep
Learning with Parameter-Efficient Ensembling").

The members share their matrices; each has vectors of its own by which a layer's inputs and outputs are multiplied.
"""

import torch
from tabm import EnsembleView, LinearEnsemble, MLPBackboneBatchEnsemble
from torch import Tensor, nn
from torch.nn import functional

from hone.models.embeddings import Features
from hone.models.inputs import InputSpec
from hone.models.optimisation import rated
from hone.trial import Config


class TabM(nn.Module):
    """Features, shared by the members, then ``n_layers`` of (linear, ReLU, dropout) and a head for each member.

    In training the members' outputs are apart, ``[b, n_members, n_outputs]``, as each has a loss of its own; in
    evaluation they are averaged: probabilities of classes, given as their logarithm, or values.
    """

    def __init__(self, inputs: InputSpec, config: Config) -> None:
        super().__init__()
        k, units = int(config["n_members"]), int(config["units"])
        self.features = Features(inputs, config)
        self.view = EnsembleView(k=k)
        embedded = inputs.n_num > 0 and str(config["embedding"]) != "none"
        self.backbone = MLPBackboneBatchEnsemble(
            d_in=self.features.width,
            n_blocks=int(config["n_layers"]),
            d_block=units,
            dropout=float(config["dropout"]),
            activation="ReLU",
            k=k,
            tabm_init=True,
            # One number for each column at the start, so that a member sees a column as a whole.
            scaling_init="normal" if embedded else "random-signs",
            start_scaling_init_chunks=list(self.features.widths),
        )
        for name, parameter in self.backbone.named_parameters():
            if not name.endswith("weight"):  # a member's own vectors are matrices of k rows
                rated(parameter, 1.0, decay=0.0)
        self.head = LinearEnsemble(units, inputs.n_outputs, k=k)

    def forward(self, x_num: Tensor, x_cat: Tensor) -> Tensor:
        """Return ``[b, n_members, n_outputs]`` in training, ``[b, n_outputs]`` in evaluation."""
        each: torch.Tensor = self.head(self.backbone(self.view(self.features(x_num, x_cat))))
        if self.training:
            return each
        if each.shape[2] == 1:
            return each.mean(1)
        return functional.log_softmax(each, 2).logsumexp(1)  # softmax of it is the mean of the probabilities
