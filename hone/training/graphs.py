"""A training step recorded once on a CUDA device, and replayed: the device waits for no Python between its kernels.

What small networks compute in a step takes less time than to ask for it, kernel by kernel. See "Accelerating PyTorch
with CUDA Graphs" (Nguyen et al. 2021). A replay runs the kernels that the step itself would run, on the same numbers.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Step = Callable[[Tensor, Tensor, Tensor], Tensor]
WARM_UP = 3
FEWEST_STEPS = 50
"""Fewer are not worth a recording, which takes as long as some dozens."""


def record(step: Step, batch: Sequence[Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    """Return what does the same as `step`, for batches of the shapes of `batch`, on a CUDA device.

    step: changes model and optimizer in place, and returns a tensor; it must wait for no result on the CPU. Learning
    rates become tensors, to be set in place. Model and optimizer are left as they were.
    """
    device = batch[0].device
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(float(group["lr"]), device=device)
    static = [tensor.clone() for tensor in batch]
    weights = [tensor.clone() for tensor in model.state_dict().values()]
    moments = {
        parameter: {name: value.clone() for name, value in values.items() if isinstance(value, Tensor)}
        for parameter, values in optimizer.state.items()
    }
    # On a stream of its own, as recordings ask for: what libraries make on first use must be there before.
    side: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    here = torch.cuda.current_stream(device)
    side.wait_stream(here)
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step(*static)
    here.wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step(*static)
    with torch.no_grad():
        for tensor, value in zip(model.state_dict().values(), weights, strict=True):
            tensor.copy_(value)
        for parameter, values in optimizer.state.items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    # Those that the warming up has made begin at zero, as new ones do.
                    before = moments.get(parameter, {}).get(name)
                    value.zero_() if before is None else value.copy_(before)

    def replay(*rows: Tensor) -> Tensor:
        for place, tensor in zip(static, rows, strict=True):
            place.copy_(tensor)
        graph.replay()
        return result

    return replay
