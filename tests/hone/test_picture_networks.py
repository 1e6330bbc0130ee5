"""Networks for pictures: they learn, continue to the bit, and augment without spoiling what is to be learnt."""

import dataclasses

import numpy as np
import pytest
import torch

from hone import models
from hone.data.preprocessing import Arrays
from hone.data.problem import Problem
from hone.errors import UserError
from hone.evaluation import baselines
from hone.models import InputSpec
from hone.models.augmentation import Augmentation
from hone.training.predict import PICTURES, load_network, predict
from hone.training.train import Settings, TrainingData, train
from hone.trial import State

FAMILIES = tuple(name for name, family in models.FAMILIES.items() if family.takes == "pictures")
SMALL = {"width": 8, "n_stages": 2, "n_blocks": 1, "batch_size": 8}
PROBLEM = Problem(task="multiclass", target="class", metric="accuracy", classes=("a", "b", "c"))
SETTINGS = Settings(epochs=6, metric="accuracy", gradient_clip=1.0)


def pictures(n: int, channels: int, side: int = 16, seed: int = 0) -> Arrays:
    """A bright band at the top, in the middle or below: the class."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = random.integers(0, 120, (n, channels, side, side), dtype=np.uint8)
    for row, label in enumerate(y):
        x[row, :, label * side // 3 : (label + 1) * side // 3] += 120
    return Arrays(x, np.empty((n, 0), dtype=np.int64), y.astype(np.int64))


def data(channels: int = 3, problem: Problem = PROBLEM, n: int = 41) -> TrainingData:
    train, validation = pictures(n, channels), pictures(18, channels, seed=1)
    if problem.classes is None:
        train, validation = (Arrays(a.x_num, a.x_cat, a.y.astype(np.float32)) for a in (train, validation))
    inputs = models.inputs_of(train, problem, ())
    return TrainingData(train=train, validation=validation, problem=problem, inputs=inputs)


def config(family: str, **changes: object) -> dict:
    default = models.default_space(family).default
    return {**default, **{name: value for name, value in SMALL.items() if name in default}, **changes}


@pytest.mark.parametrize("mixing", ["none", "mixup", "cutmix"])
@pytest.mark.parametrize("family", FAMILIES)
def test_training_in_two_parts_equals_training_in_one_to_the_bit(family: str, mixing: str) -> None:
    chosen = config(family, mixing=mixing, mixing_alpha=0.5, dropout=0.2)
    whole, straight = train(chosen, family, data(), SETTINGS, resource=3, seed=5)
    _, half = train(chosen, family, data(), SETTINGS, resource=1, seed=5)
    parts, resumed = train(chosen, family, data(), SETTINGS, resource=3, seed=99, checkpoint=half)
    assert (parts.curve, parts.metrics) == (whole.curve, whole.metrics)
    assert straight is not None
    assert resumed is not None
    assert straight.tensors.keys() == resumed.tensors.keys()
    assert all(torch.equal(straight.tensors[name], resumed.tensors[name]) for name in straight.tensors)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_learns_and_its_weights_predict_in_any_pieces(family: str, channels: int) -> None:
    rows = data(channels)
    settings = dataclasses.replace(SETTINGS, epochs=15)
    outcome, checkpoint = train(config(family), family, rows, settings, resource=15, seed=0)
    assert outcome.state is State.COMPLETE
    assert outcome.metrics["accuracy"] > 0.8
    assert checkpoint is not None
    inputs = InputSpec.from_json(rows.inputs.to_json())
    assert inputs == rows.inputs
    network = load_network(family, config(family), inputs, checkpoint.weights())
    many = pictures(PICTURES + 7, channels, seed=2)
    whole = predict(network, many, PROBLEM, 0, 1)
    pieces = [
        predict(network, many.take(np.arange(start, stop)), PROBLEM, 0, 1)
        for start, stop in ((0, PICTURES), (PICTURES, PICTURES + 7))
    ]
    assert np.concatenate(pieces).tobytes() == whole.tobytes()
    assert np.mean(np.argmax(whole, axis=1) == many.y) > 0.8


@pytest.mark.parametrize("family", FAMILIES)
def test_values_are_learnt_too_and_mixed_with_their_pictures(family: str) -> None:
    problem = Problem(task="regression", target="class", metric="rmse")
    chosen = config(family, mixing="mixup", mixing_alpha=1.0)
    settings = dataclasses.replace(SETTINGS, epochs=15, metric="rmse")
    outcome, _ = train(chosen, family, data(problem=problem), settings, resource=15, seed=0)
    assert outcome.metrics["rmse"] < 0.7  # 0.82 without learning anything


@pytest.mark.parametrize("family", FAMILIES)
def test_sampled_configs_build_for_every_size_of_picture(family: str) -> None:
    space = models.default_space(family)
    assert space.contains(space.default)
    models.check_limits(space)
    for seed, side in enumerate((8, 17, 64)):
        chosen = space.decode(np.random.default_rng(seed).random(len(space.names)))
        x = pictures(4, 3, side)
        inputs = models.inputs_of(x, PROBLEM, ())
        outputs = models.build(family, chosen, inputs, 0)(torch.from_numpy(x.x_num), torch.empty(4, 0))
        assert outputs.shape == (4, 3)
        assert torch.isfinite(outputs).all()


def test_a_family_for_the_other_kind_of_data_is_refused_with_the_remedy() -> None:
    table = InputSpec(2, (), 3, ((0.0, 1.0),) * 2)
    with pytest.raises(UserError, match=r"cnn is for pictures.*set it to mlp or resnet"):
        models.build("cnn", config("cnn"), table, 0)
    with pytest.raises(UserError, match=r"mlp is for tables.*set it to cnn or resnet_image"):
        models.build("mlp", models.default_space("mlp").default, data().inputs, 0)
    assert "picture" not in table.to_json()


def test_pixels_are_scaled_by_the_training_pictures() -> None:
    x = pictures(9, 3).x_num
    picture = data(n=9).inputs.picture
    assert picture is not None
    np.testing.assert_allclose(picture.mean, x.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(picture.std, x.std(axis=(0, 2, 3)))
    network = models.build("cnn", config("cnn"), data(n=9).inputs, 0)
    scaled = network.pixels(torch.from_numpy(x))
    torch.testing.assert_close(scaled.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(scaled.var((0, 2, 3), correction=0), torch.ones(3))


def changed(x: torch.Tensor, y: torch.Tensor, **options: object) -> tuple[torch.Tensor, torch.Tensor]:
    off = {"flip": False, "crop": 0.0, "colour": 0.0, "mixing": "none", "mixing_alpha": 1.0, "n_outputs": 3}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Augmentation(**{**off, **options})(x, y)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    arrays = pictures(64, 3)
    return torch.from_numpy(arrays.x_num), torch.from_numpy(arrays.y)


def test_nothing_asked_is_nothing_changed(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = changed(*batch)
    assert torch.equal(x, batch[0].float())
    assert torch.equal(y, batch[1])
    off = {"flip": False, "crop": 0.0, "colour": 0.0, "mixing": "none"}
    assert models.augment("cnn", config("cnn", **off), data().inputs) is None
    table = InputSpec(2, (), 3, ((0.0, 1.0),) * 2)
    assert models.augment("mlp", models.default_space("mlp").default, table) is None


@pytest.mark.parametrize("crop", [0.0, 1e-6])
def test_about_half_the_pictures_are_mirrored(batch: tuple[torch.Tensor, torch.Tensor], crop: float) -> None:
    x, _ = changed(*batch, flip=True, crop=crop)
    before = batch[0].float()
    same = ((x - before).abs().amax((1, 2, 3)) < 0.1).sum()
    mirrored = ((x - before.flip(3)).abs().amax((1, 2, 3)) < 0.1).sum()
    assert same + mirrored == 64
    assert 16 < mirrored < 48


def test_a_crop_shows_a_part_and_colours_keep_the_form(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, y = changed(*batch, crop=0.4)
    assert x.shape == batch[0].shape
    assert torch.equal(y, batch[1])
    assert x.min() >= 0
    assert x.max() <= 255
    assert not torch.isclose(x, batch[0].float()).all((1, 2, 3)).any()
    x, _ = changed(*batch, colour=0.5)
    brightness = x.mean((1, 2, 3)) / batch[0].float().mean((1, 2, 3))
    assert brightness.min() > 0.49
    assert brightness.max() < 1.51
    assert brightness.std() > 0.1
    together = torch.stack([x.flatten(1), batch[0].float().flatten(1)])
    assert min(torch.corrcoef(pair)[0, 1] for pair in together.transpose(0, 1)) > 0.9


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_a_target_is_mixed_as_its_picture_is(mixing: str) -> None:
    """Pictures of one value each: the mean of what comes out says what went in."""
    y = torch.arange(30) % 3
    x = (y * 100).to(torch.uint8)[:, None, None, None].expand(30, 3, 16, 16)
    mixed, targets = changed(x, y, mixing=mixing)
    torch.testing.assert_close(targets.sum(1), torch.ones(30))
    torch.testing.assert_close(mixed.mean((1, 2, 3)), targets @ torch.tensor([0.0, 100.0, 200.0]), atol=1e-3, rtol=1e-4)
    assert targets[torch.arange(30), y].min() >= 0.4  # a picture is mostly itself
    assert 0 < (targets > 0).sum(1).float().mean() - 1 <= 1
    values = mixed.amax((1, 2, 3)) - mixed.amin((1, 2, 3))
    assert (values > 0).any() == (mixing == "cutmix")
    _, of_values = changed(x, y.float(), mixing=mixing, n_outputs=1)
    torch.testing.assert_close(of_values * 100, mixed.mean((1, 2, 3)), atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", baselines.NAMES)
def test_baselines_see_pictures(name: str) -> None:
    rows = data()
    found = baselines.predict(name, rows, 0)
    assert found.shape == (18, 3)
    assert found.tobytes() == baselines.predict(name, rows, 0).tobytes()
    right = np.mean(np.argmax(found, axis=1) == rows.validation.y)
    assert right > 0.8 if name == "linear" else right >= 0.3
