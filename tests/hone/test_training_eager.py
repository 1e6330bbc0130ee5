import subprocess
import sys

import pytest
import torch

from hone.training import eager


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (eager.AdamW, torch.optim.AdamW, {"weight_decay": 0.1}),
        (eager.SGD, torch.optim.SGD, {"weight_decay": 0.1, "momentum": 0.9}),
    ],
)
def test_steps_are_torchs_own_to_the_bit_after_a_restored_state_too(ours, theirs, options):
    x = torch.randn(32, 5, generator=torch.Generator().manual_seed(0))
    found = []
    for kind in (ours, theirs):
        model = torch.nn.Linear(5, 2)
        for parameter in model.parameters():
            torch.nn.init.constant_(parameter, 0.1)
        optimizer = kind(model.parameters(), lr=0.01, fused=True, **options)
        for step in range(6):
            if step == 3:
                state = optimizer.state_dict()
                optimizer = kind(model.parameters(), lr=0.01, fused=True, **options)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        found.append([parameter.detach().clone() for parameter in model.parameters()])
    assert not torch.equal(found[0][0], torch.full((2, 5), 0.1))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_a_training_process_does_without_torchs_compiler():
    code = """
import sys, torch
from hone.training.loop import Batches, fit
from hone.training.optimizers import optimizer_for
model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Dropout(0.5), torch.nn.Linear(3, 2))
class Wide(torch.nn.Module):
    def __init__(self): super().__init__(); self.inner = model
    def forward(self, x_num, x_cat): return self.inner(x_num)
network, y = Wide(), torch.zeros(8, dtype=torch.int64)
batches = Batches(torch.zeros(8, 2), torch.zeros(8, 0, dtype=torch.int64), y, 4)
optimizer = optimizer_for(network, {"optimizer": "adamw", "learning_rate": 0.1, "weight_decay": 0.1})
loss = torch.nn.functional.cross_entropy
options = dict(horizon=1, learning_rate=0.1, schedule=lambda progress: 1.0, gradient_clip=1.0, seed=0)
for epoch in fit(network, optimizer, loss, batches, epochs=range(1, 3), **options):
    optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
