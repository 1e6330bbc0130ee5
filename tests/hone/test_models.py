"""Model families: their spaces, and the networks built from configs."""

import json
import math
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from hone import models
from hone.data.preprocessing import Arrays
from hone.data.problem import Problem
from hone.errors import UserError
from hone.models import InputSpec, inputs_of, spaces
from hone.models.embeddings import EMBEDDING_SIZE, ONE_HOT_UP_TO, Features
from hone.models.ft_transformer import Transformer
from hone.search.geometry import Geometry
from hone.space import Categorical

FAMILIES = tuple(name for name, family in models.FAMILIES.items() if family.takes == "table")
INPUTS = InputSpec(3, (4, 30), 2, ((-1.0, 0.0, 1.0), (0.0, 1.0), (-2.0, -1.0, 0.5, 3.0)))
BINARY = Problem(task="binary", target="y", metric="roc_auc", classes=("no", "yes"), positive_index=1)
REGRESSION = Problem(task="regression", target="y", metric="rmse")


def rows(inputs: InputSpec, n: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    columns = [torch.randint(0, size, (n, 1), generator=generator) for size in inputs.cardinalities]
    x_cat = torch.cat(columns, 1) if columns else torch.empty(n, 0, dtype=torch.int64)
    return torch.randn(n, inputs.n_num, generator=generator), x_cat


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_config_lies_in_its_space(family: str) -> None:
    space = models.default_space(family)
    assert space.contains(space.default)


@pytest.mark.parametrize("embedding", ["none", "periodic", "piecewise_linear"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "inputs",
    [INPUTS, InputSpec(2, (), 1, ((0.0, 1.0, 2.0),) * 2), InputSpec(0, (3,), 5, ()), InputSpec(0, (50, 1), 1, ())],
    ids=["mixed", "numeric", "categorical", "large and empty categories"],
)
def test_outputs_are_finite_for_every_kind_of_table(family: str, embedding: str, inputs: InputSpec) -> None:
    config = {**models.default_space(family).default, "embedding": embedding, "frequency_scale": 0.1}
    model = models.build(family, config, inputs, seed=0)
    outputs = model(*rows(inputs))
    members = (config["n_members"],) if family == "tabm" else ()
    assert outputs.shape == (6, *members, inputs.n_outputs)
    assert outputs.isfinite().all()
    outputs = model.eval()(*rows(inputs))
    assert outputs.shape == (6, inputs.n_outputs)
    assert outputs.isfinite().all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_default_of_a_space_fitted_to_categories_alone_makes_a_network(family: str) -> None:
    inputs = InputSpec(0, (3, 40), 2, ())
    config = models.fitted(models.default_space(family), inputs, 100).default
    assert models.build(family, config, inputs, seed=0).eval()(*rows(inputs)).isfinite().all()


@pytest.mark.parametrize(
    ("family", "embedding"),
    [("mlp", "none"), ("mlp", "periodic"), ("mlp", "piecewise_linear"), *((family, "none") for family in FAMILIES[1:])],
)
def test_every_input_column_reaches_the_outputs(family: str, embedding: str) -> None:
    config = {**models.default_space(family).default, "embedding": embedding, "frequency_scale": 0.1}
    model = models.build(family, config, INPUTS, seed=0).eval()
    if family == "realmlp":  # its head starts at zero
        torch.nn.init.ones_(model.head.weight)
    x_num, _ = rows(INPUTS)
    x_cat = torch.ones(6, 2, dtype=torch.int64)
    before = model(x_num, x_cat)
    for column in range(INPUTS.n_num):
        moved = x_num.clone()
        moved[:, column] += 0.5
        assert not torch.allclose(model(moved, x_cat), before)
    for column in range(2):
        moved = x_cat.clone()
        moved[:, column] = 2
        assert not torch.allclose(model(x_num, moved), before)


def test_equal_seeds_give_equal_weights_and_leave_the_global_generator_alone() -> None:
    config = models.default_space("mlp").default
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = models.build("mlp", config, INPUTS, seed=1).state_dict()
    assert torch.equal(torch.rand(3), expected)
    again, other = (models.build("mlp", config, INPUTS, seed=seed).state_dict() for seed in (1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_the_config_shapes_the_mlp() -> None:
    config = {**models.default_space("mlp").default, "n_layers": 3, "units_1": 20, "units_2": 30, "units_3": 40}
    layers = [m for m in models.build("mlp", config, INPUTS, seed=0).modules() if isinstance(m, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == [20, 30, 40, 2]


def test_layers_beyond_the_named_ones_are_as_wide_as_the_last() -> None:
    config = {**models.default_space("mlp").default, "n_layers": spaces.MOST_LAYERS + 2, "units_2": 50}
    layers = [m for m in models.build("mlp", config, INPUTS, seed=0).modules() if isinstance(m, torch.nn.Linear)]
    assert [layer.out_features for layer in layers] == [128, *[50] * (spaces.MOST_LAYERS + 1), 2]


def test_small_categories_are_one_hot_and_large_ones_embedded_and_code_0_is_neutral() -> None:
    large = ONE_HOT_UP_TO + 1
    features = Features(InputSpec(1, (3, large, 4), 2, ((0.0, 1.0),)), {"embedding": "none"})
    x_cat = torch.tensor([[0, 0, 0], [1, 1, 3], [2, large - 1, 1]])
    out = features(torch.tensor([[7.0], [8.0], [9.0]]), x_cat)
    assert out.shape == (3, features.width)
    one_hot = torch.tensor([[0, 0, 0, 0, 0], [1, 0, 0, 0, 1], [0, 1, 1, 0, 0]])
    assert torch.equal(out[:, 1:6], one_hot.float())
    assert torch.equal(out[0, 6:], torch.zeros(features.width - 6))
    assert out[1:, 6:].abs().sum(1).gt(0).all()


def test_code_0_is_neutral_to_a_transformer() -> None:
    model = models.build("ft_transformer", models.default_space("ft_transformer").default, INPUTS, seed=0)
    assert isinstance(model, Transformer)
    tokens = model.transformer.cat_embeddings
    found = tokens(torch.tensor([[0, 0], [1, 29]]))
    assert torch.equal(found[0], tokens.bias)
    assert (found[1] != tokens.bias).all()


def test_numeric_embeddings_give_each_column_its_own_vector() -> None:
    for embedding in ("periodic", "piecewise_linear"):
        features = Features(
            InputSpec(3, (), 2, ((0.0, 1.0, 2.0),) * 3), {"embedding": embedding, "frequency_scale": 0.1}
        )
        assert features(*rows(InputSpec(3, (), 2, ()))).shape == (6, 3 * EMBEDDING_SIZE)


def test_inputs_are_read_off_the_training_rows_and_survive_json() -> None:
    rng = np.random.default_rng(0)
    x_num = np.stack([rng.normal(size=200), np.full(200, 3.0), rng.integers(0, 2, 200)], 1).astype(np.float32)
    arrays = Arrays(x_num, np.zeros((200, 1), dtype=np.int64), np.zeros(200, dtype=np.int64))
    inputs = models.inputs_of(arrays, BINARY, [5])
    assert (inputs.n_num, inputs.cardinalities, inputs.n_outputs) == (3, (5,), 2)
    assert inputs.bins[0][0] == x_num[:, 0].min()
    assert inputs.bins[0][-1] == x_num[:, 0].max()
    assert inputs.bins[2] == (0.0, 1.0)
    assert all(len(edges) >= 2 and list(edges) == sorted(set(edges)) for edges in inputs.bins)
    assert InputSpec.from_json(json.loads(json.dumps(inputs.to_json()))) == inputs
    regression = Problem(task="regression", target="y", metric="rmse")
    assert models.inputs_of(arrays, regression, []).n_outputs == 1


def test_idle_hyperparameters_leave_the_space_with_their_children() -> None:
    space = models.default_space("mlp")
    regression = models.without_idle(space, InputSpec(2, (), 1, ((0.0, 1.0),) * 2))
    assert set(space.names) - set(regression.names) == {"label_smoothing", "target_transform"}
    skewed = models.without_idle(space, InputSpec(2, (), 1, ((0.0, 1.0),) * 2), skewed=True)
    assert set(space.names) - set(skewed.names) == {"label_smoothing"}
    categorical = models.without_idle(space, InputSpec(0, (3,), 2, ()))
    assert set(space.names) - set(categorical.names) == {"embedding", "frequency_scale", "target_transform"}
    assert models.without_idle(space, INPUTS) == models.without(space, "target_transform")


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("mlq", ["'mlq'", "did you mean 'mlp'", "package.module:factory"]),
        ("zzz", ["'zzz'", "mlp, resnet"]),
        ("no_such_package.nets:make", ["no_such_package.nets", "cannot import"]),
        ("hone_test_nets:absent", ["'absent'", "hone_test_nets"]),
        ("hone_test_nets:", ["hone_test_nets"]),
        (":make", ["':make'", "cannot import"]),
        ("hone_test_nets:number", ["'number'"]),
        ("hone_test_nets:no_module", ["hone_test_nets:no_module", "returned int", "torch.nn.Module"]),
        ("hone_test_nets:raises", ["hone_test_nets:raises", "RuntimeError: out of ideas"]),
        ("hone_test_nets:wrong_shape", ["hone_test_nets:wrong_shape", "(4, 7)", "(4, 3)"]),
        ("hone_test_nets:bad_space", ["hone_test_nets:bad_space", "search.space.depth", "low 5"]),
        ("hone_test_nets:no_space", ["hone_test_nets:no_space", "dict"]),
        ("hone_test_broken:make", ["hone_test_broken", "SyntaxError"]),
    ],
)
def test_a_family_that_cannot_be_used_is_named_with_the_reason(nets: Path, family: str, words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        models.check_family(family)
    assert all(word in str(caught.value) for word in ["model.family", *words]), str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_a_factory_brings_its_network_and_its_space(nets: Path) -> None:
    models.check_family("hone_test_nets:good")
    space = models.default_space("hone_test_nets:good")
    assert {"learning_rate", "batch_size", "optimizer", "schedule"} < set(space.names)
    assert space.domains["depth"] == space.merged({"depth": {"type": "int", "low": 1, "high": 3}}).domains["depth"]
    assert space.domains["kind"] == Categorical(("a", "b"))
    assert space.default["depth"] == 2
    assert "only_b" not in space.default
    assert "only_b" in space.active({**space.default, "kind": "b"})
    model = models.build("hone_test_nets:good", {**space.default, "depth": 3}, INPUTS, seed=0)
    assert len(model.stack) == 3  # type: ignore[arg-type]
    assert model(*rows(INPUTS)).shape == (6, 2)
    again = models.build("hone_test_nets:good", {**space.default, "depth": 3}, INPUTS, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_a_factory_may_be_for_pictures_alone(nets: Path) -> None:
    models.check_family("hone_test_nets:pictures")


def test_a_module_class_without_a_space_is_tuned_over_the_training_hyperparameters(nets: Path) -> None:
    models.check_family("hone_test_nets:Plain")
    names = models.default_space("hone_test_nets:Plain").names
    assert "learning_rate" in names
    assert "n_layers" not in names


def test_periodic_frequencies_start_at_their_scale() -> None:
    inputs = InputSpec(200, (), 2, ((0.0, 1.0, 2.0),) * 200)
    features = Features(inputs, {"embedding": "periodic", "frequency_scale": 0.5})
    (weight,) = [p for name, p in features.named_parameters() if "periodic" in name]
    # 3200 draws from a normal cut at 3 sigma: its standard deviation is 0.987 sigma, with an error of about 0.006.
    assert math.isclose(float(weight.detach().std()), 0.5 * 0.987, abs_tol=0.04)


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path with factories, good and bad."""
    (tmp_path / "hone_test_broken.py").write_text("def make(:\n")
    (tmp_path / "hone_test_nets.py").write_text(
        textwrap.dedent("""
            from torch import nn

            number = 3

            class Net(nn.Module):
                def __init__(self, inputs, depth, n_outputs):
                    super().__init__()
                    self.stack = nn.ModuleList(nn.Linear(inputs.n_num, inputs.n_num) for _ in range(depth))
                    self.head = nn.Linear(inputs.n_num, n_outputs)

                def forward(self, x_num, x_cat):
                    for layer in self.stack:
                        x_num = layer(x_num).relu()
                    return self.head(x_num)

            class Plain(Net):
                def __init__(self, inputs, config):
                    super().__init__(inputs, 1, inputs.n_outputs)

            def good(inputs, config):
                return Net(inputs, config["depth"], inputs.n_outputs)

            def pictures(inputs, config):
                channels, height, width = inputs.picture.shape

                class Flat(nn.Module):
                    def __init__(self):
                        super().__init__()
                        self.head = nn.Linear(channels * height * width, inputs.n_outputs)

                    def forward(self, x_num, x_cat):
                        return self.head(x_num.float().flatten(1))

                return Flat()

            good.space = {
                "depth": {"type": "int", "low": 1, "high": 3, "default": 2},
                "kind": ["a", "b"],
                "only_b": {"type": "float", "low": 0.1, "high": 1, "log": True, "when": {"kind": ["b"]}},
            }

            def no_module(inputs, config):
                return 3

            def raises(inputs, config):
                raise RuntimeError("out of ideas")

            def wrong_shape(inputs, config):
                return Net(inputs, 1, 7)

            def bad_space(inputs, config):
                return Net(inputs, 1, inputs.n_outputs)

            bad_space.space = {"depth": {"type": "int", "low": 5, "high": 3}}

            def no_space(inputs, config):
                return Net(inputs, 1, inputs.n_outputs)

            no_space.space = [1]
        """)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("hone_test_nets", "hone_test_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_an_ensemble_in_one_network_averages_probabilities_when_it_is_evaluated() -> None:
    model = models.build("tabm", models.default_space("tabm").default, INPUTS, seed=0)
    x_num, x_cat = rows(INPUTS)
    model.eval()
    averaged = model(x_num, x_cat).softmax(1)
    each = model.head(model.backbone(model.view(model.features(x_num, x_cat))))  # without dropout
    assert (each[:, 0] - each[:, 1]).abs().max() > 1e-3
    torch.testing.assert_close(averaged, each.softmax(2).mean(1))


def test_realmlp_scales_columns_by_their_quartiles_and_clips_smoothly() -> None:
    edges = tuple(np.quantile(np.arange(1000.0) ** 2, np.linspace(0, 1, 17)).tolist())
    flag = (0.0, 1.0)
    model = models.build("realmlp", models.default_space("realmlp").default, InputSpec(2, (), 1, (edges, flag)), seed=0)
    low, middle, high = (edges[i] for i in (4, 8, 12))
    found = model.clipped(torch.tensor([[middle, 0.0], [middle + (high - low), 1.0], [1e30, 0.5]]))
    one = 1 / math.sqrt(1 + 1 / 9)
    torch.testing.assert_close(found[:2, 0], torch.tensor([0.0, one]))
    assert float(found[2, 0]) == pytest.approx(3.0)
    assert float(found[1, 1] - found[0, 1]) == pytest.approx(2 / math.sqrt(1 + 4 / 9))  # two values: two apart


def test_realmlp_scales_a_column_of_many_equal_values_by_its_quartiles_all_the_same() -> None:
    income = np.concatenate([np.zeros(150), np.linspace(1e4, 6e4, 840), np.full(10, 5e6)]).astype(np.float32)
    rare = np.concatenate([np.zeros(900), np.full(100, 4.0)]).astype(np.float32)
    x_num = np.stack([income, rare], axis=1)
    inputs = inputs_of(Arrays(x_num, np.empty((1000, 0), dtype=np.int64), income), REGRESSION, ())
    assert len(inputs.bins[0]) < 17  # quantiles that coincide are one edge
    model = models.build("realmlp", models.default_space("realmlp").default, inputs, seed=0)
    low, middle, high = map(float, np.quantile(income, [0.25, 0.5, 0.75]))
    found = model.clipped(torch.tensor([[middle, 0.0], [middle + (high - low), 4.0]]))
    torch.testing.assert_close(found[:, 0], torch.tensor([0.0, 1 / math.sqrt(1 + 1 / 9)]))
    torch.testing.assert_close(found[:, 1], torch.tensor([0.0, 2 / math.sqrt(1 + 4 / 9)]))
    assert InputSpec.from_json(json.loads(json.dumps(inputs.to_json()))) == inputs


def test_auto_is_the_family_that_its_config_names() -> None:
    space = models.default_space("auto")
    starts = models.starts("auto", space)
    assert [config["family"] for config in starts] == ["mlp", "realmlp", "tabm", "resnet", "ft_transformer"]
    for config in starts:
        family, own = models.resolved("auto", config)
        assert family == config["family"]
        for name, value in models.default_space(family).default.items():
            assert own.get(name, value) == value, name
            assert name in own or name.startswith("units_")  # all layers are as wide as the first
        auto = models.build("auto", config, INPUTS, seed=1).state_dict()
        alone = models.build(family, own, INPUTS, seed=1).state_dict()
        assert set(auto) == set(alone)
        assert all(torch.equal(auto[name], alone[name]) for name in auto)


def test_every_config_of_auto_can_be_built_and_has_only_what_its_family_has() -> None:
    space = models.default_space("auto")
    seen = set()
    for config in (space.decode(point) for point in np.random.default_rng(0).random((60, space.dimension))):
        family, own = models.resolved("auto", config)
        seen.add(family)
        known = models.default_space(family).domains
        assert set(own) <= set(known)
        assert all(name in own for name in known if name not in models.default_space(family).conditions)
        small = {name: min(own[name], 8) for name in ("units", "units_1", "n_members", "token_size") if name in own}
        models.build(family, {**own, **small}, INPUTS, seed=0)
    assert len(seen) == 5


def test_what_is_inactive_costs_nothing_more() -> None:
    space = models.default_space("auto")
    geometry = Geometry(space, space)
    points = np.random.default_rng(0).random((50, space.dimension))
    snapped = geometry.snapped(points)
    expected = [math.log(space.price(space.decode(point))) for point in snapped]
    np.testing.assert_allclose(geometry.log_prices(snapped), expected, atol=1e-4)


def test_slow_families_and_small_batches_cost_more() -> None:
    space = models.default_space("auto")
    prices = {config["family"]: space.price(config) for config in models.starts("auto", space)}
    assert prices["mlp"] == 1.0
    assert prices["mlp"] < prices["tabm"] < prices["ft_transformer"]
    for other in (
        models.without_idle(space, InputSpec(0, (3,), 1, ())),
        space.merged({"family": ["mlp", "tabm"]}),
        models.fitted(space, INPUTS, 20_000),
    ):
        assert other.price({"family": "tabm"}) == prices["tabm"]
    large = models.fitted(space, INPUTS, 20_000)  # batches of 256: what is dear is dear beside that
    assert large.price(large.default) == 1.0
    assert large.price({**large.default, "batch_size": 64}) == pytest.approx(1.6)
    assert large.price({**large.default, "units": 256}) == pytest.approx(1.5**1.8)
    assert large.price({**large.default, "units": 16, "n_layers": 1, "embedding": "none"}) == 0.25
    assert models.default_space("tabm").price(models.default_space("tabm").default) == 1.0


def test_batches_grow_with_the_table_unless_params_say_otherwise() -> None:
    space = models.default_space("mlp")
    small, large = (models.fitted(space, INPUTS, n) for n in (1000, 20_000))
    assert small.domains["batch_size"] == space.domains["batch_size"]
    assert (small.default["batch_size"], large.default["batch_size"]) == (64, 256)
    assert (large.domains["batch_size"].low, large.domains["batch_size"].high) == (64, 1024)
    for stated in ({"batch_size": 32}, {"batch_size": {"type": "int", "low": 16, "high": 64}}):
        merged = space.merged(stated)
        assert models.fitted(merged, INPUTS, 20_000).domains["batch_size"] == merged.domains["batch_size"]
    assert models.fitted(models.default_space("auto"), INPUTS, 20_000).price({"family": "tabm"}) > 1
    bounds = space.merged({"batch_size": {"low": 16, "high": 256, "default": 32}})
    kept = models.fitted(bounds, INPUTS, 20_000, stated=["batch_size"])
    assert (kept.domains["batch_size"], kept.default["batch_size"]) == (bounds.domains["batch_size"], 32)


def test_prices_are_one_at_defaults_that_params_have_moved() -> None:
    space = models.default_space("auto").merged({"n_blocks": {"low": 3, "default": 4}, "units": {"default": 512}})
    found = models.fitted(space, INPUTS, 1000)
    assert found.price(found.default) == 1.0
    points = np.random.default_rng(0).random((50, found.dimension))
    geometry = Geometry(found, found)
    snapped = geometry.snapped(points)
    expected = [math.log(found.price(found.decode(point))) for point in snapped]
    np.testing.assert_allclose(geometry.log_prices(snapped), expected, atol=1e-4)
