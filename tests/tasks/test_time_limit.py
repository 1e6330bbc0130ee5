"""What a time limit pays for, and how a run keeps within it."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hone import models
from hone.errors import UserError
from hone.models import prices
from hone.space import price_of
from hone.training.train import Settings
from tasks import budget, trainables
from tasks.allowance import Allowance, shortened, within
from tasks.budget import (
    AFTERWARDS,
    BUSY,
    START_UP,
    Measurement,
    affordable,
    n_replays,
    overrun,
    parsed,
    pays_for,
    seconds_for,
)
from tasks.params import Params, parse_params, search_space
from tasks.search_hyperband import replayed_within
from tasks.stage import Stage


def limited(limit: str, **sections: object) -> Params:
    return parse_params({"budget": {"time_limit": limit}, **sections})


def measured(seconds_per_epoch: float, workers: int = 2) -> Measurement:
    return Measurement(seconds_per_epoch, workers, {"units": (128.0, 0.9)})


def stage(root: Path, params: Params, began: float | None = None) -> Stage:
    return Stage(
        name="baseline",
        root=root,
        params=params,
        fingerprint="f",
        pipeline="p",
        executor=None,
        tracker=None,
        reporter=None,
        began=began,
    )


def test_a_long_run_has_all_that_params_ask_for_and_the_search_gets_the_rest() -> None:
    params = limited("1h")
    allowed = affordable(params, measured(0.1))
    assert allowed.replays >= n_replays(params) == 12
    assert (allowed.training, allowed.networks, allowed.seeds) == (54, 3, 5)
    assert shortened(params, allowed) == params
    # What is planned takes the hour, give or take an epoch.
    assert seconds_for(params, measured(0.1), allowed) == pytest.approx(3600, abs=0.2)


def test_a_long_run_pays_for_all_replays_and_seeds_however_dear_the_finalists_are() -> None:
    allowed = affordable(limited("10h"), measured(0.1))
    assert replayed_within(allowed.replays, [1.0, 7.0, 7.0, 7.0], 3) == (3, 3)
    assert allowed.final >= 5 * 7.0
    # What is planned for them is what such finalists usually cost.
    usual = replace(allowed, replays=21, final=10.0)
    assert seconds_for(limited("10h"), measured(0.1), usual) == seconds_for(limited("10h"), measured(0.1), allowed)


@pytest.mark.parametrize("family", ["mlp", "tabm", "ft_transformer"])
def test_prices_are_measured_beside_the_default_whatever_family_it_is_of(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = limited("1h", model={"family": "auto"}, search={"space": {"family": {"default": family}}})
    space = search_space(params)
    truth = models.rough_prices("auto", models.default_space("auto"))  # an epoch of mlp's takes a second
    monkeypatch.setattr(trainables, "full_space", lambda _: space)
    monkeypatch.setattr(budget, "read_problem", lambda _: None)
    monkeypatch.setattr(trainables, "settings", lambda *_: None)
    monkeypatch.setattr(budget, "_timed", lambda timing, configs, _: [(c, price_of(truth, c)) for c in configs])
    found = budget.measure(stage(tmp_path, params))
    assert price_of(found.prices, space.default) == pytest.approx(1.0)
    assert found.seconds_per_epoch == pytest.approx(price_of(truth, space.default), rel=0.01)
    slow = models.starts("auto", space)[-1]
    assert found.seconds_per_epoch * price_of(found.prices, slow) == pytest.approx(price_of(truth, slow), rel=0.01)


@pytest.mark.parametrize("seconds_per_epoch", [0.05, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("limit", ["1m", "2m", "5m", "1h"])
def test_what_is_planned_takes_as_long_as_is_allowed(limit: str, seconds_per_epoch: float) -> None:
    params = limited(limit)
    allowed = affordable(params, measured(seconds_per_epoch))
    if allowed.epochs:
        seconds = {"1m": 60.0, "2m": 120.0, "5m": 300.0, "1h": 3600.0}[limit]
        usable = max(seconds - START_UP, 0.4 * seconds)
        planned = seconds_for(params, measured(seconds_per_epoch), allowed) - START_UP
        assert planned == pytest.approx(usable, abs=seconds_per_epoch / 2 / BUSY + 1e-6)


def test_in_a_short_run_replays_give_way_to_the_search() -> None:
    params = limited("2m")
    allowed = affordable(params, measured(0.2))
    assert allowed.replays is not None
    assert allowed.training is not None
    assert 0 < allowed.replays < 12
    assert allowed.epochs > 2 * allowed.replays * 0.8 * allowed.training


def test_in_a_shorter_run_trainings_are_shorter_and_the_phases_with_them() -> None:
    params = limited("2m")
    lengths = [affordable(params, measured(seconds)).training for seconds in (0.05, 0.2, 0.3, 2.0)]
    assert lengths[0] == 54
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] == 18
    changed = shortened(params, Allowance(100.0, training=27))
    assert (changed.train.epochs, changed.train.patience) == (27, 6)
    assert changed.search.random.epochs == round(params.search.random.epochs / 2)
    assert changed.search.bayes.epochs == round(params.search.bayes.epochs / 2)
    assert changed.search.hyperband.min_epochs == round(params.search.hyperband.min_epochs / 2)
    assert params.train.epochs == 54


def test_in_a_very_short_run_final_models_have_fewer_seeds() -> None:
    params = limited("2m")
    found = [affordable(params, measured(seconds)).seeds for seconds in (0.05, 0.5, 0.9)]
    assert found[0] == params.retrain.seeds == 5
    assert found[-1] == 1
    assert found == sorted(found, reverse=True)


def test_twice_the_workers_or_half_the_time_an_epoch_are_more() -> None:
    params = limited("10m")
    one, two, fast = (affordable(params, measured(*each)).epochs for each in ((0.5, 1), (0.5, 2), (0.25, 1)))
    assert one < two == fast


def test_a_training_may_not_take_most_of_a_run() -> None:
    params = limited("5m", model={"family": "auto"})
    short, long = (
        affordable(params.model_copy(update={"budget": limited(limit).budget}), measured(0.4)) for limit in ("2m", "1h")
    )
    assert short.dearest < long.dearest
    assert short.dearest * short.training * 0.8 * 0.4 < 120
    space = models.default_space("auto")
    cheap = prices.affordable(space, short.dearest)
    dear = prices.affordable(space, long.dearest)
    assert set(cheap.domains["family"].choices) < set(dear.domains["family"].choices)


def test_a_limit_that_pays_for_too_little_says_so() -> None:
    with pytest.raises(UserError, match=r"budget\.time_limit: 1m is too short: on 2 workers an epoch takes 9 s"):
        pays_for(limited("1m"), measured(9.0))


def test_a_limit_that_start_up_alone_takes_is_said_to_be_out_of_reach() -> None:
    fast = measured(0.01)
    said = {
        limit: overrun(limited(limit), fast, affordable(limited(limit), fast)) for limit in ("20s", "1m", "2m", "1h")
    }
    assert [limit for limit, text in said.items() if text is not None] == ["20s"]
    assert str(said["20s"]).startswith("budget.time_limit: 20s cannot be kept")
    assert overrun(parse_params({}), fast, Allowance(10.0)) is None
    here = overrun(limited("10m"), measured(2.0), affordable(limited("10m"), measured(0.1, 16)))
    assert "on this machine" in str(here)


def test_a_run_that_has_started_sooner_has_more_left_to_search() -> None:
    params = limited("1h")
    soon, late = (replace(measured(0.05), start_up=seconds) for seconds in (20.0, 40.0))
    quick, slow = affordable(params, soon), affordable(params, late)
    assert quick.epochs - slow.epochs == 20 * 2 * BUSY / 0.05
    assert seconds_for(params, soon, quick) == pytest.approx(3600, abs=0.1)


def test_start_up_is_as_long_as_the_run_goes_on_and_what_follows(tmp_path: Path) -> None:
    """However long that is: a table of millions of rows takes a minute to split."""
    stages = [stage(tmp_path, parse_params({}), began) for began in (time.monotonic() - 90.0, None)]
    assert [budget._start_up(one) for one in stages] == [pytest.approx(90.0 + AFTERWARDS, abs=1.0), START_UP]


def test_what_is_written_down_is_read_again_as_it_was() -> None:
    allowed = Allowance(
        10.5,
        training=20,
        replays=3,
        networks=1,
        seeds=2,
        final=4.0,
        dearest=2.5,
        prices={"family": {"mlp": 1.0, "tabm": 7.5}, "units": (128.0, 0.9)},
    )
    assert Allowance.from_json(json.loads(json.dumps(allowed.to_json()))) == allowed
    assert Allowance.from_json({"epochs": 60}) == Allowance(60.0)
    assert price_of(allowed.prices, {"family": "tabm", "units": 128}) == 7.5
    for broken in (
        {},
        ["epochs"],
        {"epochs": "x"},
        {"epochs": 0},
        {"epochs": 1, "unknown": 2},
        {"epochs": 1, "training": "x"},
        {"epochs": 1, "seeds": 0},
        {"epochs": 1, "prices": {"units": 3}},
    ):
        with pytest.raises(ValueError, match="Allowance"):
            Allowance.from_json(broken)


def test_a_lock_keeps_the_latest_measurements_each_for_its_inputs(tmp_path: Path) -> None:
    lock = tmp_path / "budget.lock"
    for n in [*range(1, 12), 9]:
        budget.write_down(lock, f"inputs {n}", Allowance(float(n)), measured(0.1))
    assert parsed(lock, "inputs 1") is None
    assert [parsed(lock, f"inputs {n}") for n in (4, 9, 11)] == [Allowance(4.0), Allowance(9.0), Allowance(11.0)]
    assert len(json.loads(lock.read_text())["measurements"]) == budget.KEPT
    (newest,) = [one for one in json.loads(lock.read_text())["measurements"] if one["inputs"] == "inputs 9"]
    assert newest["measured"] == {"seconds_per_epoch": 0.1, "workers": 2, "start_up": START_UP}
    lock.write_text(json.dumps(newest))  # as it was when it held one only
    assert parsed(lock, "inputs 9") == Allowance(9.0)
    assert parsed(lock, "inputs 8") is None
    for broken in ("{", "[]", "{}", '{"measurements": [3]}', '{"measurements": [{"inputs": "inputs 1", "epochs": 0}]}'):
        lock.write_text(broken)
        with pytest.raises(UserError, match=r"budget\.lock: cannot be read"):
            parsed(lock, "inputs 1")


def test_phases_that_no_longer_fit_what_was_measured_are_refused(tmp_path: Path) -> None:
    params = limited("2m", search={"random": {"share": 0.01}})
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts" / "budget.json").write_text(json.dumps(Allowance(200.0, training=54).to_json()))
    with pytest.raises(UserError, match=r"budget\.time_limit: 2m pays for few epochs.*search\.random\.share"):
        within(stage(tmp_path, params))


def test_without_a_limit_nothing_changes() -> None:
    params = parse_params({})
    assert shortened(params, Allowance(1200.0)) == params


def test_replays_keep_within_what_they_may_take() -> None:
    plain = [1.0] * 4
    assert replayed_within(None, plain, 3) == (3, 3)
    assert replayed_within(12, plain, 3) == (3, 3)
    assert replayed_within(11, plain, 3) == (3, 2)
    assert replayed_within(7, plain, 3) == (2, 2)
    assert replayed_within(1, plain, 3) == (1, 1)
    assert replayed_within(12, [1.0, 8.0, 1.0, 1.0], 3) == (2, 1)
    for allowed in range(3, 40):
        for each in (plain, [1.0, 4.0, 2.0, 9.0]):
            n, seeds = replayed_within(allowed, each, 3)
            assert seeds * sum(each[: n + 1]) <= allowed or (n, seeds) == (1, 1)


def test_without_prices_an_epoch_takes_what_a_typical_config_takes() -> None:
    found = Measurement(0.1, 2, {"units": (128.0, 0.9)}, typical=3.0)
    assert found.seconds(parse_params({}), Allowance(100.0)) == pytest.approx(0.3)
    assert found.seconds(parse_params({}), Allowance(100.0, prices=found.prices)) == 0.1
    assert found.seconds(parse_params({"model": {"family": "auto"}}), Allowance(100.0)) == 0.1


def test_a_process_gets_warm_before_it_times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seconds = iter([9.0, 1.0, 2.0])  # the first of a process pays for much else
    monkeypatch.setattr(budget, "_warm", [])
    monkeypatch.setattr(budget.trainables, "load", lambda *_, **__: None)
    monkeypatch.setattr(budget, "seconds_of_epoch", lambda *_: next(seconds))
    timing = budget.Timing(
        split=tmp_path,
        rows=tmp_path,
        family="mlp",
        scaling="standard",
        settings=Settings(epochs=1, metric="rmse"),
        stopping=None,
        root=tmp_path,
        start_from=None,
    )
    assert [timing({}), timing({})] == [1.0, 2.0]
