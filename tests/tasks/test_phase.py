"""The chain: what its phases may spend, and that they are the strategies that params.yaml names."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hone import models
from hone.data.problem import Problem
from hone.search.bayes import Bayesian
from hone.search.freeze_thaw import FreezeThaw
from hone.search.hyperband import Hyperband
from hone.trial import Config, Result, State, Trial
from tasks import phase, search_bayes, search_hyperband, search_random
from tasks.params import Params, parse_params, search_space
from tasks.phase import Findings
from tasks.reporting import GenerationInfo, NullReporter
from tasks.stage import Stage
from tests.hone.synthetic import MIXED, Trainer, results

PROBLEM = Problem(task="multiclass", target="", metric="accuracy")
STAGES = {"random": search_random, "bayes": search_bayes, "hyperband": search_hyperband}


def chain(params: Params, total: float) -> dict[str, tuple[Result, ...]]:
    """Return what each phase tries, one handed all that those before it found."""
    search, found, shares = params.search, {}, []
    trainer = Trainer(MIXED)
    for name, stage in STAGES.items():
        shares.append(getattr(search, name).share)
        prior = tuple(result for former in found.values() for result in former)
        given = Findings(PROBLEM, MIXED, MIXED, prior, phase.allowance(total, shares, prior), total)
        found[name] = results(stage.strategy(params, given, f"search_{name}"), trainer)
    return found


def cost(found: dict[str, tuple[Result, ...]], *names: str) -> float:
    return sum(result.cost for name in names for result in found[name])


def test_what_a_phase_leaves_of_its_share_the_next_may_spend() -> None:
    trial = Trial(study="s", number=0, generation=0, config={}, resource=6)
    spent = [Result(trial=trial, state=State.COMPLETE, objective=1.0, cost=30.0)]
    assert phase.allowance(1000, [0.1], []) == 100
    assert phase.allowance(1000, [0.1, 0.5], spent) == pytest.approx(570)
    assert phase.allowance(1000, [0.1, 0.5, 0.4], spent * 10) == pytest.approx(700)


def test_the_default_chain_spends_its_budget_and_ends_with_whole_trainings() -> None:
    params, total = Params(), 2400.0
    found = chain(params, total)
    assert len(found["random"]) == params.search.random.trials
    assert len(found["bayes"]) == params.search.bayes.trials
    assert {result.trial.resource for result in found["bayes"]} == {6}
    assert {result.trial.resource for result in found["hyperband"]} == {6, 18, 54}
    assert total - 6 < cost(found, *STAGES) <= total
    promoted = [result.trial for result in found["hyperband"] if result.trial.origin == "promoted"]
    assert promoted[-1].resource == params.train.epochs
    assert {result.trial.origin for result in found["hyperband"]} >= {"surrogate", "promoted", "whole"}


def test_a_phase_without_a_limit_of_trials_spends_its_share() -> None:
    limits = {"random": {"trials": 0}, "bayes": {"trials": 0}}
    found = chain(parse_params({"search": limits}), 2400.0)
    assert cost(found, "random") == 240
    assert cost(found, "bayes") == 1200


@pytest.mark.parametrize(
    ("search", "name", "strategy"),
    [
        ({}, "bayes", FreezeThaw),
        ({"bayes": {"sampler": "tpe"}}, "bayes", Bayesian),
        ({"bayes": {"sampler": "gp"}}, "bayes", Bayesian),
        ({}, "hyperband", FreezeThaw),
        ({"hyperband": {"promotion": "rank"}}, "hyperband", Hyperband),
    ],
)
def test_params_choose_the_strategy(search: dict[str, object], name: str, strategy: type) -> None:
    found = Findings(PROBLEM, MIXED, MIXED, (), 500.0, 1200.0)
    assert isinstance(STAGES[name].strategy(parse_params({"search": search}), found, name), strategy)


@pytest.mark.parametrize("space", [{}, {"learning_rate": {"default": 0.003}}])
def test_auto_begins_with_the_default_of_each_family_whatever_else_is_changed(space: dict[str, object]) -> None:
    params = parse_params({"model": {"family": "auto"}, "search": {"space": space}})
    full = search_space(params)
    found = Findings(PROBLEM, full, full, (), 120.0, 1200.0, families=models.starts("auto", full))
    strategy = STAGES["random"].strategy(params, found, "random")
    begun = [full.default, *(start.config for start in strategy.starts)]
    assert {config["family"] for config in begun} == set(full.domains["family"].choices)


@dataclass(frozen=True)
class Told:
    """Earlier studies, of which these configs were the best."""

    best: tuple[Config, ...]

    def starts(self, n: int) -> list[Config]:
        return list(self.best[:n])


def test_what_was_good_elsewhere_and_is_dear_leaves_the_phase_to_others() -> None:
    params = parse_params({"model": {"family": "auto"}})
    full = search_space(params)
    tabm = next(config for config in models.starts("auto", full) if config["family"] == "tabm")
    dear = {**tabm, "n_members": 24, "units": 256}
    cheap = {**full.default, "dropout": 0.2}
    found = Findings(
        PROBLEM, full, full, (), 120.0, 1200.0, transfer=Told((dear, cheap)), families=models.starts("auto", full)
    )
    assert full.price(dear) > 13
    origins = [start.origin for start in STAGES["random"].strategy(params, found, "random").starts]
    assert origins == ["warm_start", *["family"] * 3]


class Hears(NullReporter):
    def generation(self, info: GenerationInfo) -> None:
        self.info = info


def test_a_generation_says_how_much_of_the_search_is_done_and_when_the_time_limit_ends(tmp_path: Path) -> None:
    trial = Trial(study="search_bayes", number=0, generation=0, config=MIXED.default, resource=6)
    former = Result(trial=trial, state=State.COMPLETE, objective=-0.5, cost=120.0)
    found = Findings(PROBLEM, MIXED, MIXED, (former,), 600.0, 1200.0)
    assert phase.share_spent(found, 180.0, "search_bayes") == pytest.approx(0.25)
    assert phase.share_spent(found, 9000.0, "search_bayes") == 1.0
    assert phase.share_spent(found, 180.0, phase.REPLAY) is None
    stage = Stage(
        name="search_bayes",
        root=tmp_path,
        params=parse_params({"budget": {"time_limit": "10m"}}),
        fingerprint="f",
        pipeline="p",
        executor=None,
        tracker=None,
        reporter=(heard := Hears()),
        began=100.0,
    )
    for each, until in ((stage, 700.0), (replace(stage, params=Params()), None), (replace(stage, began=None), None)):
        phase._show(each, "search_bayes", [former], [former], "accuracy", 180.0, 600.0, 0.25)
        assert (heard.info.n_trials, heard.info.done, heard.info.until) == (1, 0.25, until)
