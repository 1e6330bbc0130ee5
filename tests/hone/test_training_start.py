"""Starting from former weights: what fits is taken over, learns at its own rate, and rests as long as it is told."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hone import models
from hone.data.problem import Problem
from hone.errors import UserError
from hone.models.former import Former, shaped_as, with_start
from hone.space import Fixed
from hone.training import TrainingData, train
from hone.training.optimizers import RATE, optimizer_for
from hone.training.start import load
from hone.trial import State
from tests.hone.test_training import FAMILIES, assert_equal, config_of, passed_on, settings, table

START = {"start": "pretrained", "backbone_rate": 0.3, "frozen_epochs": 0}


def former(data: TrainingData, family: str = "mlp", problem: Problem | None = None, **changes: Any) -> Former:
    model = models.build(family, config_of(family, **changes), data.inputs, seed=5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.125)
    return Former(model.state_dict(), family, config_of(family, **changes), problem or data.problem)


def after(epochs: int, data: TrainingData, given: Former | None, seed: int = 3, **changes: Any) -> dict[str, Tensor]:
    config = config_of(**{**START, **changes})
    outcome, checkpoint = train(config, "mlp", data, settings(data), resource=epochs, seed=seed, former=given)
    assert outcome.state is State.COMPLETE
    assert checkpoint is not None
    return {name.removeprefix("model."): t for name, t in checkpoint.tensors.items() if name.startswith("model.")}


@pytest.mark.parametrize("family", FAMILIES)
def test_all_of_an_equal_network_is_taken_over(family: str) -> None:
    data = table()
    given = former(data, family)
    model = models.build(family, config_of(family), data.inputs, seed=9)
    loaded = load(model, given, data.problem)
    assert set(loaded.names) == set(given.weights)
    assert not loaded.left
    assert all(torch.equal(tensor, given.weights[name]) for name, tensor in model.state_dict().items())


def test_what_does_not_fit_is_left_as_it_was_with_the_reason() -> None:
    data = table()
    weights = dict(former(data, units_2=24).weights)
    weights["layers.0.bias"] = weights["layers.0.bias"].long()
    del weights["head.bias"]
    model = models.build("mlp", config_of(), data.inputs, seed=9)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    loaded = load(model, Former(weights), data.problem)
    said = dict(loaded.left)
    assert said.pop("layers.0.bias") == "torch.int64 there, torch.float32 here"
    assert said.pop("head.bias") == "not in the file"
    assert said == {
        "layers.3.weight": "24×16 there, 16×16 here",
        "layers.3.bias": "24 there, 16 here",
        "head.weight": "3×24 there, 3×16 here",
    }
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name] if name in loaded.left else weights[name]), name


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_layer_of_other_classes_is_not_taken_over(family: str) -> None:
    data = table()
    other = Problem(task="multiclass", target="y", metric="accuracy", classes=("d", "e", "f"))
    model = models.build(family, config_of(family), data.inputs, seed=9)
    left = load(model, former(data, family, other), data.problem).left
    assert set(left.values()) == {"another target there"}
    assert len(left) <= 2
    assert any(model.state_dict()[name].shape[-1] == 3 or model.state_dict()[name].shape[0] == 3 for name in left)
    assert not load(model, Former(former(data, family).weights), data.problem).left  # of a bare state dict, who knows


def test_a_search_may_start_from_scratch_as_if_there_were_no_weights() -> None:
    data = table()
    config = {**config_of(), "start": "scratch"}
    with_weights = train(config, "mlp", data, settings(data), resource=2, seed=3, former=former(data))
    without = train(config, "mlp", data, settings(data), resource=2, seed=3)
    assert_equal(with_weights, without)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_what_is_frozen_rests_until_its_epoch_while_the_rest_learns(optimizer: str) -> None:
    data = table()
    other = Problem(task="multiclass", target="y", metric="accuracy", classes=("d", "e", "f"))
    given = former(data, problem=other)
    changes = {"frozen_epochs": 2, "optimizer": optimizer, **({"momentum": 0.9} if optimizer == "sgd" else {})}
    resting, moving = after(2, data, given, **changes), after(3, data, given, **changes)
    for name in ("layers.0.weight", "layers.3.bias"):
        assert torch.equal(resting[name], given.weights[name])
        assert not torch.equal(moving[name], given.weights[name])
    fresh = models.build("mlp", config_of(), data.inputs, seed=3).state_dict()
    assert not torch.equal(resting["head.weight"], fresh["head.weight"])


def test_where_everything_is_taken_over_the_last_layer_is_no_part_of_the_backbone() -> None:
    data = table()
    given = former(data)
    model = models.build("mlp", config_of(), data.inputs, seed=9)
    assert len(load(model, given, data.problem).backbone) == len(list(model.parameters())) - 2
    resting = after(1, data, given, frozen_epochs=2)
    assert torch.equal(resting["layers.0.weight"], given.weights["layers.0.weight"])
    assert not torch.equal(resting["head.weight"], given.weights["head.weight"])


def test_the_backbone_learns_at_its_share_of_the_learning_rate() -> None:
    data = table()
    given = former(data)
    del (weights := dict(given.weights))["head.weight"], weights["head.bias"]
    # One step of plain SGD: the distance from where it started is proportional to the rate.
    plain = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "batch_size": 60}
    whole, tenth = (after(1, data, Former(weights), backbone_rate=rate, **plain) for rate in (1.0, 0.1))
    for name, start in weights.items():
        torch.testing.assert_close(tenth[name] - start, 0.1 * (whole[name] - start), rtol=1e-2, atol=1e-6)
    assert torch.equal(whole["head.weight"], tenth["head.weight"])


def test_without_a_backbone_the_optimizers_groups_are_what_they_were() -> None:
    model = models.build("mlp", config_of(), table().inputs, seed=0)
    groups = optimizer_for(model, config_of()).param_groups
    assert [group["weight_decay"] for group in groups] == [config_of()["weight_decay"], 0.0]
    assert {group[RATE] for group in groups} == {1.0}


@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 0.3), ("sgd", 1.0)])
@pytest.mark.parametrize("cut", [1, 2, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_training_in_two_parts_equals_one_to_the_bit(
    family: str, cut: int, optimizer: str, rate: float
) -> None:
    data = table()
    given = former(data, family)
    changes = {"frozen_epochs": 2, "backbone_rate": rate, "optimizer": optimizer, "momentum": 0.9}
    config = config_of(family, **START | changes)
    straight = train(config, family, data, settings(data), resource=4, seed=3, former=given)
    _, checkpoint = train(config, family, data, settings(data), resource=cut, seed=3, former=given)
    assert checkpoint is not None
    again = passed_on(checkpoint)
    assert_equal(
        straight, train(config, family, data, settings(data), resource=4, seed=9, checkpoint=again, former=given)
    )


def test_a_former_config_fixes_the_networks_shape_unless_params_free_it() -> None:
    data = table()
    space = with_start(models.default_space("mlp"), 54)
    given = former(data, units_1=37, units_2=48)
    fixed = shaped_as(space, given, "mlp", free={"dropout": 0.0})
    assert space.default | START == fixed.default | {name: space.default[name] for name in ("units_1", "units_2")}
    assert fixed.domains["units_1"] == Fixed(37)
    assert fixed.domains["embedding"] == Fixed(given.config["embedding"])
    assert all(fixed.domains[name] == space.domains[name] for name in ("dropout", "learning_rate", "start"))
    assert shaped_as(space, given, "resnet", free={}) == space
    auto = Former(given.weights, "auto", {**models.default_space("auto").default, "units": 37}, data.problem)
    assert shaped_as(space, auto, "mlp", free={}).domains["units_1"] == Fixed(37)
    assert shaped_as(space, auto, "resnet", free={}) == space
    assert shaped_as(space, Former(given.weights), "mlp", free={}) == space
    with pytest.raises(UserError, match=r"^model\.start_from: the model's own config cannot be used: .*activation"):
        shaped_as(space, replace(given, config={**given.config, "activation": "tahn"}), "mlp", free={})


def test_a_network_with_a_hyperparameter_of_that_name_is_told() -> None:
    with pytest.raises(UserError, match=r"^model\.start_from: the family has a hyperparameter 'start' of its own"):
        with_start(with_start(models.default_space("mlp"), 9), 9)


def test_a_module_of_ones_own_starts_from_a_state_dict() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    given = Former({"0.weight": torch.ones(3, 2, dtype=torch.float64), "9.weight": torch.ones(1)})
    loaded = load(model, given, table().problem)
    assert loaded.names == ("0.weight",)
    assert torch.equal(model[0].weight, torch.ones(3, 2))
    assert [id(p) for p in loaded.backbone] == [id(model[0].weight)]


def test_the_buffers_of_a_module_are_taken_over_all_or_none() -> None:
    here = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
    there = dict(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)).state_dict())
    there["0.running_mean"] = torch.ones(2)
    assert "0.running_mean" in load(here, Former(there), table().problem).names
    for changed in ({**there, "0.running_var": torch.ones(3)}, {**there, "0.mask": torch.ones(3)}):
        loaded = load(here, Former(changed), table().problem)
        assert loaded.left["0.running_mean"] == "a buffer beside it does not fit"
        assert "0.weight" in loaded.names
