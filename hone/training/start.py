"""Starting from former weights: what of them fits a new network."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hone.data.problem import Problem
from hone.models.former import Former


@dataclass(frozen=True)
class Loaded:
    """What a network took over. names: of its state dict. left: the other names, and why.

    backbone: the parameters among those loaded, which rest at first and learn at a rate of their own; where all were
    loaded, the last layer's are not among them, so that there is always something that learns.
    """

    names: tuple[str, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    backbone: tuple[nn.Parameter, ...] = ()


def load(model: nn.Module, former: Former, problem: Problem) -> Loaded:
    """Copy into a network what fits by name, shape and kind of number; return what did, and why the rest did not.

    The last layer of a model that told other classes apart, or predicted another column, is not taken over, nor are
    the buffers of a module of which not all fit.
    """
    last, whole = _last_layer(model), _whole_buffers(model, former.weights)
    foreign = former.problem is not None and _asked(former.problem) != _asked(problem)
    names, left = [], {}
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            given = former.weights.get(name)
            if given is None:
                left[name] = "not in the file"
            elif given.shape != tensor.shape:
                left[name] = f"{_shown(given)} there, {_shown(tensor)} here"
            elif given.is_floating_point() != tensor.is_floating_point():
                left[name] = f"{given.dtype} there, {tensor.dtype} here"
            elif foreign and name in last:
                left[name] = "another target there"
            elif not whole.get(name, True):
                left[name] = "a buffer beside it does not fit"
            else:
                tensor.copy_(given)
                names.append(name)
    learning = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    head = last if set(learning) <= set(names) else set()
    backbone = [parameter for name, parameter in learning.items() if name in names and name not in head]
    return Loaded(tuple(names), left, tuple(backbone))


def _whole_buffers(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, bool]:
    """Return of each buffer whether all of its module fit: edges of bins, say, mean nothing without their number."""
    state, found = model.state_dict(), dict[str, bool]()
    for prefix, module in model.named_modules():
        buffers = [name for name, _ in module.named_buffers(prefix, recurse=False) if name in state]
        own = {name for name in weights if name.rpartition(".")[0] == prefix}
        fits = own <= set(state) and all(name in own and weights[name].shape == state[name].shape for name in buffers)
        found |= dict.fromkeys(buffers, fits)
    return found


def _last_layer(model: nn.Module) -> set[str]:
    """Return the state dict's names of the last module that has parameters of its own."""
    layers = [(name, layer) for name, layer in model.named_modules() if any(True for _ in layer.parameters(False))]
    if not layers:
        return set()
    name, layer = layers[-1]
    return {f"{name}.{key}" if name else key for key in layer.state_dict()}


def _asked(problem: Problem) -> tuple[object, ...]:
    return problem.task, problem.target, problem.classes


def _shown(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"
