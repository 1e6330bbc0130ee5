"""Many points at once are what the search space says of each of them."""

import math

import numpy as np
import pytest

from hone.models import default_space
from hone.search.gaussian_process import Layout
from hone.search.geometry import Geometry
from hone.space import Categorical, Condition, Fixed, Float, Int, SearchSpace, identity
from hone.trial import Trial
from tests.hone.synthetic import MIXED, PLAIN, SPACES

ODD = SearchSpace(
    {
        "one": Int(3, 3),
        "same": Float(2, 2),
        "fixed": Fixed("x"),
        "deep": Categorical((False, True)),
        "size": Int(1, 4),
        "scale": Float(-1, 1),
        "inner": Categorical((1, 2, 3)),
    },
    {
        "size": Condition("deep", allowed=(True,)),
        "scale": Condition("size", at_least=2),  # a child of a child
        "inner": Condition("fixed", allowed=("x",)),
    },
    {"size": 3, "scale": 0.25, "inner": 2},
)
EVERY = {**SPACES, "mlp": default_space("mlp"), "odd": ODD}
N = 400


def drawn(space, n=N, seed=0):
    rng = np.random.default_rng(seed)
    u = rng.random((n, space.dimension))
    return np.where(rng.random(u.shape) < 0.05, np.round(u), u)  # corners too


def narrowed(space, low=0.2, high=0.6):
    """A part of each number's domain, and all choices but the first."""
    parts = {}
    for name, domain in space.domains.items():
        if isinstance(domain, Float | Int):
            parts[name] = type(domain)(domain.decode(low), domain.decode(high), domain.log)
        elif isinstance(domain, Categorical):
            parts[name] = Categorical(domain.choices[1:])
    return space.with_domains(parts)


def points(geometry, configs):
    """Return the points of configs."""
    trials = [Trial(study="s", number=i, generation=0, config=c, resource=1) for i, c in enumerate(configs)]
    return geometry.points(trials)


def geometry(name):
    return Geometry(EVERY[name], narrowed(EVERY[name]))


@pytest.mark.parametrize("name", EVERY)
def test_to_snap_is_to_decode_and_encode(name):
    space = EVERY[name]
    u = drawn(space)
    expected = np.array([space.encode(space.decode(point)) for point in u])
    snapped = geometry(name).snapped(u)
    np.testing.assert_allclose(snapped, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(geometry(name).snapped(snapped), snapped, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", EVERY)
def test_a_snapped_point_is_the_same_config(name):
    space = EVERY[name]
    u = drawn(space)
    for before, after in zip(u, geometry(name).snapped(u), strict=True):
        one, other = space.decode(before), space.decode(after)
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert value == (pytest.approx(other[key], rel=1e-5) if isinstance(value, float) else other[key])


@pytest.mark.parametrize("name", EVERY)
def test_what_is_inactive_is_at_its_default(name):
    space = EVERY[name]
    u = drawn(space)
    defaults = space.encode({})
    n_inactive = 0
    for before, after in zip(u, geometry(name).snapped(u), strict=True):
        idle = [i for i, key in enumerate(space.names) if key not in space.decode(before)]
        n_inactive += len(idle)
        assert after[idle].tolist() == defaults[idle].tolist()
    assert bool(n_inactive) is bool(space.conditions)


def is_exempt(space, narrow, config):
    """Whether a config is in the narrowed space but for conditional parameters that are at their default."""
    wrong = [key for key, value in config.items() if not narrow.domains[key].contains(value)]
    at_default = [space.domains[k].encode(config[k]) == space.domains[k].encode(space.defaults[k]) for k in wrong]
    return bool(wrong) and all(at_default) and all(key in space.conditions for key in wrong)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("bounds", [(0.2, 0.6), (0.0, 0.5), (0.5, 0.9), (0.0, 1.0)])
def test_inside_is_what_the_narrowed_space_contains(name, bounds):
    space, narrow = EVERY[name], narrowed(EVERY[name], *bounds)
    ours = Geometry(space, narrow)
    points = ours.snapped(np.concatenate([drawn(space), ours.spread(drawn(space)), ours.clipped(drawn(space))]))
    configs = [space.decode(point) for point in points]
    # Where a conditional parameter is at its default, nobody can tell from the point whether it is active.
    expected = [narrow.contains(config) or is_exempt(space, narrow, config) for config in configs]
    assert ours.inside(points).tolist() == expected


def test_an_active_parameter_at_its_default_counts_as_inside_even_where_the_default_was_cut_off():
    narrow = MIXED.with_domains({"units_2": Int(128, 256, log=True)})
    ours = Geometry(MIXED, narrow)
    config = {**MIXED.default, "n_layers": 2, "units_2": MIXED.defaults["units_2"]}
    other = {**config, "units_2": config["units_2"] + 1}
    without = {key: value for key, value in config.items() if key != "units_2"} | {"n_layers": 1}
    assert [narrow.contains(c) for c in (config, other, without)] == [False, False, True]
    assert ours.inside(points(ours, [config, other, without])).tolist() == [True, False, True]


@pytest.mark.parametrize("name", EVERY)
def test_to_spread_is_to_decode_in_the_narrowed_space(name):
    ours = geometry(name)
    u = drawn(ours.full)
    expected = points(ours, [ours.narrow.decode(point) for point in u])
    np.testing.assert_allclose(ours.snapped(ours.spread(u)), expected, rtol=0, atol=1e-5)
    assert all(ours.narrow.contains(ours.full.decode(point)) for point in ours.spread(u))


@pytest.mark.parametrize("name", EVERY)
def test_clipped_points_have_their_numbers_in_the_narrowed_space_and_their_choices_as_they_were(name):
    ours = geometry(name)
    u = drawn(ours.full)
    clipped = ours.clipped(u)
    for before, after in zip(u, clipped, strict=True):
        for i, (key, domain) in enumerate(ours.full.domains.items()):
            part, value = ours.narrow.domains[key], domain.decode(before[i])
            if isinstance(domain, Float | Int):
                assert domain.decode(after[i]) == part.clip(value)
            else:
                assert after[i] == before[i]


def test_clipped_points_that_were_inside_stay_to_the_bit():
    ours = Geometry(PLAIN, narrowed(PLAIN))
    u = np.array([[0.3, 0.4], [0.1, 0.5]])
    assert ours.clipped(u)[0].tolist() == [0.3, 0.4]
    assert ours.clipped(u)[1] == pytest.approx([0.2, 0.5])
    assert u.tolist() == [[0.3, 0.4], [0.1, 0.5]]


def test_whether_something_was_narrowed():
    assert geometry("plain").is_narrowed
    assert not Geometry(MIXED, MIXED).is_narrowed


# Features


def test_two_choices_are_1_apart_and_numbers_are_their_coordinates():
    space = SearchSpace({"x": Float(0, 10), "c": Categorical(("a", "b", "c")), "n": Int(1, 4)})
    ours = Geometry(space, space)
    configs = [{"x": 5.0, "c": choice, "n": 2} for choice in "abc"]
    x = ours.features(points(ours, configs))
    distances = np.sqrt(((x[:, None] - x) ** 2).sum(axis=2))
    np.testing.assert_allclose(distances, 1 - np.eye(3), atol=1e-12)
    assert x[0, [0, 4]].tolist() == [0.5, 0.375]


def test_a_choices_features_share_a_lengthscale_and_only_numbers_are_warped():
    space = SearchSpace({"f": Fixed(1), "x": Float(0, 1), "c": Categorical(("a", "b", "c")), "n": Int(1, 4)})
    assert Geometry(space, space).layout == Layout((0, 1, 1, 1, 2), (True, False, False, False, True))


@pytest.mark.parametrize("name", EVERY)
def test_every_free_parameter_has_features_and_a_lengthscale(name):
    ours = geometry(name)
    x = ours.features(ours.snapped(drawn(ours.full)))
    assert x.shape == (N, len(ours.layout.scales)) == (N, len(ours.layout.warped))
    assert ours.layout.n_scales == len(ours.free)
    assert ((x >= 0) & (x <= 1)).all()


@pytest.mark.parametrize("name", EVERY)
def test_other_configs_have_other_features(name):
    ours = geometry(name)
    u = ours.snapped(drawn(ours.full))
    configs = {identity(ours.full.decode(point)) for point in u}
    n_features = len(np.unique(np.round(ours.features(u), 9), axis=0))
    assert n_features == len(configs)


def test_what_is_fixed_has_no_features():
    assert [ODD.names[i] for i in Geometry(ODD, ODD).free] == ["deep", "size", "scale", "inner"]
    fixed = SearchSpace({"a": Fixed(1), "b": Fixed(math.pi)})
    assert Geometry(fixed, fixed).features(np.zeros((3, 2))).shape == (3, 0)
    assert points(Geometry(fixed, fixed), []).shape == (0, 2)
