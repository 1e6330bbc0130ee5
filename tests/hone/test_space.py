"""Search spaces: encodings are exact, conditions hold everywhere, and mistakes in params.yaml are named."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from hone.errors import UserError
from hone.space import Categorical, Condition, Fixed, Float, Int, SearchSpace, identity, parse_domain

FLOATS = [Float(0.0, 0.5), Float(1e-4, 0.1, log=True), Float(-3, 7), Float(0.123456789, 0.2), Float(2.0, 2.0)]
INTS = [Int(1, 4), Int(16, 512, log=True), Int(1, 3000, log=True), Int(-5, 5), Int(7, 7), Int(0, 100_000)]
CATEGORICALS = [Categorical(("relu", "silu", "gelu")), Categorical((32, 64)), Categorical((True, 1, "1", 0.5))]

SPACE = SearchSpace(
    {
        "rate": Float(1e-4, 0.1, log=True),
        "n_layers": Int(1, 3),
        "units_1": Int(16, 512, log=True),
        "units_2": Int(16, 512, log=True),
        "units_3": Int(16, 512, log=True),
        "optimizer": Categorical(("adamw", "sgd")),
        "momentum": Float(0.5, 0.99),
        "nesterov": Categorical((True, False)),
        "clip": Fixed(1.0),
    },
    {
        "units_2": Condition("n_layers", allowed=(2, 3)),
        "units_3": Condition("n_layers", at_least=3),
        "momentum": Condition("optimizer", allowed=("sgd",)),
        "nesterov": Condition("momentum", at_least=0.7),
    },
    {"rate": 0.001, "n_layers": 2, "units_1": 64, "units_2": 48},
)


@pytest.mark.parametrize("domain", FLOATS, ids=str)
def test_decoded_floats_and_the_bounds_survive_encoding_to_the_bit(domain):
    legal = [domain.decode(u) for u in np.random.default_rng(0).random(500)] + [domain.low, domain.high]
    assert [domain.decode(domain.encode(v)) for v in legal] == legal
    assert all(domain.contains(v) and 0 <= domain.encode(v) <= 1 for v in legal)


@pytest.mark.parametrize("domain", INTS, ids=str)
def test_every_integer_survives_encoding(domain):
    legal = range(domain.low, domain.high + 1, max(1, (domain.high - domain.low) // 5000))
    assert [domain.decode(domain.encode(v)) for v in legal] == list(legal)
    assert domain.decode(0.0) == domain.low
    assert domain.decode(1.0) == domain.high
    assert type(domain.decode(0.3)) is int


@pytest.mark.parametrize("domain", CATEGORICALS, ids=str)
def test_every_choice_survives_encoding_with_its_type(domain):
    decoded = [domain.decode(domain.encode(v)) for v in domain.choices]
    assert json.dumps(decoded) == json.dumps(domain.choices)


def test_integers_share_the_unit_interval_equally():
    values = [Int(1, 4).decode(u) for u in np.linspace(0, 1, 4000, endpoint=False)]
    assert [values.count(v) for v in (1, 2, 3, 4)] == [1000] * 4


def test_a_log_scale_gives_each_decade_its_share():
    domain = Float(1e-4, 1.0, log=True)
    assert [domain.decode(u) for u in (0, 0.25, 0.5, 0.75, 1)] == [1e-4, 1e-3, 1e-2, 1e-1, 1.0]


def test_decoded_floats_have_few_digits_so_that_no_platform_differs_in_the_last_bit():
    domain = Float(1e-4, 0.1, log=True)
    assert all(
        len(f"{domain.decode(u):g}") <= 11 and float(f"{domain.decode(u):.6g}") == domain.decode(u)
        for u in np.random.default_rng(1).random(200)
    )
    assert domain.decode(math.nextafter(0.3, 1)) == domain.decode(0.3)


def test_configs_hold_what_is_active_and_nothing_else():
    for point in np.random.default_rng(2).random((500, SPACE.dimension)):
        config = SPACE.decode(point)
        assert ("units_2" in config) == (config["n_layers"] >= 2)
        assert ("units_3" in config) == (config["n_layers"] == 3)
        assert ("momentum" in config) == (config["optimizer"] == "sgd")
        assert ("nesterov" in config) == (config.get("momentum", 0) >= 0.7)
        assert SPACE.contains(config)
        assert SPACE.active(config) == tuple(config)
        assert SPACE.decode(SPACE.encode(config)) == config


def test_a_config_with_a_missing_or_inactive_parameter_is_not_in_the_space():
    config = dict(SPACE.default)
    assert SPACE.contains(config)
    assert not SPACE.contains({**config, "units_3": 64})
    assert not SPACE.contains({name: v for name, v in config.items() if name != "rate"})
    assert not SPACE.contains({**config, "rate": 0.2})
    assert not SPACE.contains({**config, "n_layers": 2.5})


def test_an_inactive_parameter_has_its_defaults_coordinate():
    config = {**SPACE.default, "n_layers": 1}
    del config["units_2"]
    assert SPACE.encode(config)[3] == SPACE.domains["units_2"].encode(48)


def test_the_default_is_complete_active_and_legal():
    assert SPACE.default == {
        "rate": 0.001,
        "n_layers": 2,
        "units_1": 64,
        "units_2": 48,
        "optimizer": "adamw",
        "clip": 1,
    }
    space = SearchSpace({"a": Float(0, 1), "b": Int(1, 9), "c": Categorical(("x", "y"))}, None, {"a": 7, "c": "z"})
    assert space.default == {"a": 1.0, "b": 5, "c": "x"}


def test_a_space_survives_json():
    assert SearchSpace.from_json(json.loads(json.dumps(SPACE.to_json()))) == SPACE


def test_a_childs_default_appears_when_an_override_makes_it_active():
    space = SPACE.merged({"n_layers": 3})
    assert space.default["units_2"] == 48
    assert "units_3" in space.default
    assert space.domains["n_layers"] == Fixed(3)


def test_overrides_keep_order_conditions_and_defaults():
    space = SPACE.merged(
        {
            "rate": {"type": "float", "low": "1e-5", "high": 1e-2, "log": True},  # YAML 1.1 reads 1e-5 as a text
            "units_2": {"type": "int", "low": 8, "high": 32},
            "optimizer": ["sgd"],
            "momentum": 0.9,
        }
    )
    assert space.names == SPACE.names
    assert space.domains["rate"] == Float(1e-5, 1e-2, log=True)
    assert space.conditions["units_2"] == SPACE.conditions["units_2"]
    assert space.default["units_2"] == 32
    assert space.default["momentum"] == 0.9


def test_an_override_may_bring_a_default_and_a_condition():
    space = SPACE.merged(
        {"units_1": {"type": "int", "low": 8, "high": 32, "default": 16},
         "units_3": {"type": "int", "low": 8, "high": 32, "when": {"n_layers": {"at_least": 2}}}}
    )  # fmt: skip
    assert space.default["units_1"] == 16
    assert "units_3" in space.default


def test_new_names_are_taken_only_where_the_family_says_so():
    assert SPACE.merged({"kernel": [3, 5]}, extend=True).names[-1] == "kernel"
    with pytest.raises(UserError, match=r"search\.space\.rates: .*did you mean rate\?"):
        SPACE.merged({"rates": 0.1})


MISTAKES = {
    "log with low 0": ({"type": "float", "low": 0, "high": 1, "log": True}, "low 0 .*above 0"),
    "log with low below 0": ({"type": "int", "low": -2, "high": 1, "log": True}, "low -2"),
    "low above high": ({"type": "float", "low": 2, "high": 1}, "low 2 is above high 1"),
    "no choices": ({"type": "categorical", "choices": []}, "choices is empty"),
    "an empty list": ([], "choices is empty"),
    "choices twice": (["a", "a"], "twice"),
    "choices as a text": ({"type": "categorical", "choices": "relu"}, "no list"),
    "a choice that is a list": ([[1], [2]], "choice"),
    "no type": ({"low": 1, "high": 2}, "type is missing.*float, int, categorical"),
    "an unknown type": ({"type": "real", "low": 1, "high": 2}, "'real' is unknown"),
    "an unknown key": ({"type": "float", "low": 1, "hihg": 2}, "did you mean high"),
    "a text for a bound": ({"type": "float", "low": "small", "high": 2}, "'small' is no number"),
    "true for a bound": ({"type": "int", "low": True, "high": 2}, "no number"),
    "an infinite bound": ({"type": "float", "low": 0, "high": math.inf}, "no finite number"),
    "no high": ({"type": "float", "low": 1}, "high: is missing"),
    "a fraction of an integer": ({"type": "int", "low": 1.5, "high": 2}, "not a whole number"),
    "log as a text": ({"type": "float", "low": 1, "high": 2, "log": "yes"}, "neither true nor false"),
    "nothing": (None, "no value"),
    "when without a list": ({"type": "int", "low": 1, "high": 2, "when": "n_layers"}, "no condition"),
    "when with an empty list": ({"type": "int", "low": 1, "high": 2, "when": {"n_layers": []}}, "never exist"),
    "when with at_most": ({"type": "int", "low": 1, "high": 2, "when": {"n_layers": {"at_most": 1}}}, "at_least"),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_domain_is_named_with_its_key(spec, message):
    with pytest.raises(UserError, match=message) as raised:
        parse_domain("width", spec)
    assert str(raised.value).startswith("search.space.width")


UNFIT = {
    "a choice the family lacks": ({"optimizer": ["adamw", "lion"]}, "search.space.optimizer: 'lion'"),
    "a fixed choice the family lacks": ({"optimizer": "lion"}, "search.space.optimizer: 'lion'"),
    "a range for choices": ({"optimizer": {"type": "int", "low": 1, "high": 2}}, "search.space.optimizer: '1 to 2'"),
    "a text for a number": ({"rate": "fast"}, "search.space.rate: 'fast' is no number"),
    "a fraction for a whole number": ({"n_layers": 2.5}, "search.space.n_layers: 2.5 is not a whole number"),
    "float for a whole number": ({"n_layers": {"type": "float", "low": 1, "high": 2}}, "use type: int"),
    "a default outside": ({"rate": {"type": "float", "low": 1, "high": 2, "default": 3}}, "search.space.rate.default"),
    "a parent that does not exist": (
        {"units_1": {"type": "int", "low": 1, "high": 2, "when": {"n_layer": [1]}}},
        "search.space.units_1.when: .*did you mean n_layers",
    ),
    "a parent behind its child": (
        {"units_1": {"type": "int", "low": 1, "high": 2, "when": {"optimizer": ["sgd"]}}},
        "optimizer must be listed before units_1",
    ),
}


@pytest.mark.parametrize(("overrides", "message"), UNFIT.values(), ids=UNFIT)
def test_an_override_the_family_cannot_use_is_named(overrides, message):
    with pytest.raises(UserError, match=message):
        SPACE.merged(overrides)


def test_identity_ignores_order_but_not_type():
    assert identity({"a": 1, "b": 2}) == identity({"b": 2, "a": 1})
    assert len({identity({"a": v}) for v in (1, 1.0, True, "1")}) == 4


def test_an_override_may_widen_a_bound_and_leave_the_rest():
    wide = SPACE.merged({"rate": {"high": 0.5}, "units_1": {"high": 128, "default": 96}})
    assert wide.domains["rate"] == replace(SPACE.domains["rate"], high=0.5)
    assert wide.domains["units_1"] == replace(SPACE.domains["units_1"], high=128)
    assert wide.default["units_1"] == 96
    with pytest.raises(UserError, match=r"search\.space\.optimizer\.high: unknown key"):
        SPACE.merged({"optimizer": {"high": 3}})
    with pytest.raises(UserError, match="type is missing"):
        SPACE.merged({"kernel": {"high": 3}}, extend=True)
