"""What a time limit pays for, and how replays keep within it."""

import pytest

from hone.errors import UserError
from tasks.budget import Measurement, affordable, n_replays, pays_for, seconds_for
from tasks.params import Params, parse_params
from tasks.search_hyperband import replayed_within


def limited(limit: str, **sections: object) -> Params:
    return parse_params({"budget": {"time_limit": limit}, **sections})


def test_a_long_run_has_all_replays_and_the_search_gets_the_rest() -> None:
    params = limited("1h")
    allowed = affordable(params, Measurement(seconds_per_epoch=0.1, workers=2))
    assert allowed.replays == n_replays(params) == 12
    # What is planned takes the hour, give or take an epoch.
    planned = params.model_copy(update={"budget": params.budget.model_copy(update={"epochs": allowed.epochs})})
    assert seconds_for(planned, Measurement(0.1, 2)) == pytest.approx(3600, abs=0.2)


def test_in_a_short_run_replays_give_way_to_the_search() -> None:
    params = limited("2m")
    allowed = affordable(params, Measurement(seconds_per_epoch=0.2, workers=2))
    assert allowed.replays is not None
    assert 0 < allowed.replays < 12
    assert allowed.epochs > 2 * allowed.replays * 0.8 * params.train.epochs


def test_in_a_very_short_run_final_models_have_fewer_seeds() -> None:
    params = limited("2m")
    found = [affordable(params, Measurement(seconds, 2)).seeds for seconds in (0.1, 0.3, 0.5)]
    assert found == [3, 2, 1]


def test_twice_the_workers_or_half_the_time_an_epoch_are_more() -> None:
    params = limited("10m")
    one, two, fast = (affordable(params, Measurement(*each)).epochs for each in ((0.5, 1), (0.5, 2), (0.25, 1)))
    assert one < two == fast


def test_auto_expects_a_winner_that_is_dearer_than_the_default() -> None:
    measured = Measurement(0.5, 2)
    assert (
        affordable(limited("10m", model={"family": "auto"}), measured).epochs
        < affordable(limited("10m"), measured).epochs
    )


def test_a_limit_that_pays_for_too_little_says_so() -> None:
    with pytest.raises(UserError, match=r"budget\.time_limit: 1m is too short: on 2 workers an epoch takes 9 s"):
        pays_for(limited("1m"), Measurement(9.0, 2))


def test_replays_keep_within_what_they_may_take() -> None:
    plain = [1.0] * 4
    assert replayed_within(None, plain, 3) == (3, 3)
    assert replayed_within(12, plain, 3) == (3, 3)
    assert replayed_within(11, plain, 3) == (3, 2)
    assert replayed_within(7, plain, 3) == (2, 2)
    assert replayed_within(1, plain, 3) == (1, 1)
    assert replayed_within(12, [1.0, 8.0, 1.0, 1.0], 3) == (2, 1)
    for allowed in range(3, 40):
        for prices in (plain, [1.0, 4.0, 2.0, 9.0]):
            n, seeds = replayed_within(allowed, prices, 3)
            assert seeds * sum(prices[: n + 1]) <= allowed or (n, seeds) == (1, 1)
