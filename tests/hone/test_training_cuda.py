"""On a CUDA device: every family trains, and to the bit the same however its training is cut."""

from typing import Any

import pytest
import torch

from hone import models
from hone.training import TrainingData, graphs, train
from hone.trial import State
from tests.hone import test_picture_networks, test_training, test_training_start

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

TABLES = [
    (family, {} if embedding is None else {"embedding": embedding, "frequency_scale": 0.1})
    for family in test_training.FAMILIES
    for embedding in (
        ("none", "periodic", "piecewise_linear")
        if family != "auto" and "embedding" in models.default_space(family).domains
        else (None,)
    )
]


def same_in_parts(family: str, data: TrainingData, config: dict[str, Any]) -> None:
    """Train to 16 at once, and to 8 and on to 16; on the CPU, too."""
    there = test_training.settings(data, device="cuda")
    straight = train(config, family, data, there, resource=16, seed=3)
    assert straight[0].state is State.COMPLETE
    _, checkpoint = train(config, family, data, there, resource=8, seed=3)
    assert checkpoint is not None
    handed = test_training.passed_on(checkpoint)
    test_training.assert_equal(straight, train(config, family, data, there, resource=16, seed=3, checkpoint=handed))
    test_training.assert_equal(straight, train(config, family, data, there, resource=16, seed=3))
    here, _ = train(config, family, data, test_training.settings(data), resource=16, seed=3, checkpoint=handed)
    assert here.state is State.COMPLETE  # a checkpoint goes on where there is no CUDA


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(("family", "changes"), TABLES)
def test_tables(family: str, changes: dict[str, Any], task: Any) -> None:
    data = test_training.table(task)
    same_in_parts(family, data, test_training.config_of(family, dropout=0.2, **changes))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_optimizers(optimizer: str) -> None:
    same_in_parts("mlp", test_training.table(), test_training.config_of("mlp", optimizer=optimizer, momentum=0.9))


@pytest.mark.parametrize("mixing", ["none", "mixup", "cutmix"])
@pytest.mark.parametrize("family", test_picture_networks.FAMILIES)
def test_pictures(family: str, mixing: str) -> None:
    config = test_picture_networks.config(family, mixing=mixing, mixing_alpha=0.5, dropout=0.2)
    same_in_parts(family, test_picture_networks.data(), config)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("family", test_training.FAMILIES)
def test_a_recorded_step_does_what_the_step_does(family: str, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = test_training.table(n=70)  # in batches of 16: the last one is smaller, and not recorded
    config = test_training.config_of(family, dropout=0.2, optimizer=optimizer, momentum=0.9, learning_rate=1e-3)
    assert recordings(monkeypatch, family, data, config) == 1


@pytest.mark.parametrize("mixing", ["none", "mixup", "cutmix"])
@pytest.mark.parametrize("family", test_picture_networks.FAMILIES)
def test_so_it_does_on_pictures(family: str, mixing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = test_picture_networks.config(family, mixing=mixing, mixing_alpha=0.5, dropout=0.2, learning_rate=1e-3)
    assert recordings(monkeypatch, family, test_picture_networks.data(), config) == 1


@pytest.mark.parametrize(("frozen_epochs", "recorded"), [(0, 1), (4, 0)])
def test_so_it_does_from_former_weights_unless_they_rest(
    frozen_epochs: int, recorded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = test_training.table(n=70)
    start = {**test_training_start.START, "frozen_epochs": frozen_epochs}
    config = test_training.config_of("mlp", dropout=0.2, learning_rate=1e-3, **start)
    assert recordings(monkeypatch, "mlp", data, config, test_training_start.former(data)) == recorded


def recordings(
    monkeypatch: pytest.MonkeyPatch, family: str, data: TrainingData, config: dict[str, Any], former: Any = None
) -> int:
    """Return how often a training records a step, once it is shown to be the same as without."""
    there = test_training.settings(data, device="cuda")
    found = 0
    record = graphs.record

    def counted(*arguments: Any) -> graphs.Step:
        nonlocal found
        found += 1
        return record(*arguments)

    monkeypatch.setattr(graphs, "record", counted)
    recorded, replayed = train(config, family, data, there, resource=12, seed=3, former=former)
    monkeypatch.setattr(graphs, "FEWEST_STEPS", 10**9)
    plain, stepped = train(config, family, data, there, resource=12, seed=3, former=former)
    assert replayed is not None
    assert stepped is not None
    assert recorded.metrics["train_loss"] == pytest.approx(plain.metrics["train_loss"], rel=1e-3)
    for name, tensor in stepped.tensors.items():
        assert torch.allclose(replayed.tensors[name], tensor, rtol=1e-3, atol=1e-4), name
    return found
