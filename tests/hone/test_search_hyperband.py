"""Hyperband: the paper's table, promotion by rank, checkpoints that go on, and a budget that is kept."""

from dataclasses import replace
from itertools import pairwise

import pytest

from hone.domains import Categorical
from hone.errors import UserError
from hone.search.bayes import Bayesian
from hone.search.hyperband import Hyperband, brackets, cost, ladder, shrunk
from hone.search.sobol import Sobol
from hone.space import SearchSpace, identity
from hone.trial import State, ranked, results_of, spent
from tests.hone.synthetic import MIXED, Trainer, play, results

# Li et al., 2018, algorithm 1 at R = 81, eta = 3: (n_i, r_i) for s = 4, 3, 2, 1, 0.
PRINTED = (
    ((81, 1), (27, 3), (9, 9), (3, 27), (1, 81)),
    ((34, 3), (11, 9), (3, 27), (1, 81)),
    ((15, 9), (5, 27), (1, 81)),
    ((8, 27), (2, 81)),
    ((5, 81),),
)


def test_the_brackets_are_those_of_the_paper():
    assert brackets(81, 1, 3) == PRINTED


@pytest.mark.parametrize(
    ("max_epochs", "min_epochs", "eta", "rungs"),
    [
        (243, 1, 3, (1, 3, 9, 27, 81, 243)),  # a floating-point logarithm loses one here
        (1000, 1, 10, (1, 10, 100, 1000)),  # and here
        (54, 6, 3, (6, 18, 54)),
        (54, 7, 3, (18, 54)),
        (50, 6, 3, (16, 50)),
        (7, 7, 2, (7,)),
        (1, 1, 3, (1,)),
    ],
)
def test_rungs_are_counted_exactly(max_epochs, min_epochs, eta, rungs):
    assert ladder(max_epochs, min_epochs, eta) == rungs
    assert len(brackets(max_epochs, min_epochs, eta)) == len(rungs)


@pytest.mark.parametrize("eta", [2, 3, 4, 10])
@pytest.mark.parametrize("power", range(1, 9))
def test_a_power_of_eta_has_one_bracket_more_than_its_exponent(eta, power):
    assert len(brackets(eta**power, 1, eta)) == power + 1


@pytest.mark.parametrize(("arguments", "key"), [((5, 6, 3), "min_epochs"), ((9, 0, 3), "min_epochs"),
                                                ((9, 1, 1), "reduction_factor")])  # fmt: skip
def test_an_impossible_ladder_is_named(arguments, key):
    with pytest.raises(UserError, match=rf"search\.hyperband\.{key}: \d"):
        ladder(*arguments)


def test_a_bracket_costs_the_new_epochs_only():
    assert cost(brackets(54, 6, 3)[0]) == 9 * 6 + 3 * 12 + 1 * 36


@pytest.mark.parametrize("bracket", brackets(81, 1, 3))
@pytest.mark.parametrize("budget", [80, 81, 100, 200, 300, 405, 1000])
def test_a_shrunk_bracket_is_the_largest_that_the_budget_pays_for(bracket, budget):
    smaller = shrunk(bracket, 3, budget)
    if budget < 81:
        assert smaller is None
        return
    assert cost(smaller) <= budget
    assert smaller[-1].n_configs >= 1
    assert smaller[-1].resource == 81
    n = smaller[0].n_configs
    if n < bracket[0].n_configs:
        one_more = [max(1, (n + 1) // 3**i) for i in range(len(bracket))]
        starts = (0, *(rung.resource for rung in bracket))
        assert sum(m * (rung.resource - r) for m, rung, r in zip(one_more, bracket, starts, strict=False)) > budget
    else:
        assert smaller == bracket


PRIOR = results(Sobol(study="prior", space=MIXED, seed=5, budget=24 * 3, resource=6, rows=0.5), Trainer(MIXED))
STRATEGY = Hyperband(
    study="h", space=MIXED, full_space=MIXED, prior=PRIOR, seed=0, budget=900, max_epochs=54, min_epochs=6, batch=4
)
HISTORY = play(STRATEGY, Trainer(MIXED, PRIOR))


def test_the_best_former_configs_continue_their_checkpoints_at_the_top_rung():
    first = [result.trial for result in HISTORY[0].results]
    best = [result.trial for result in ranked(PRIOR)[:4]]
    assert [(t.config, t.parent, t.resource, t.origin) for t in first] == [
        (t.config, t.key, 54, "former") for t in best
    ]
    assert all(result.cost == 54 for result in HISTORY[0].results)  # they saw half of the rows


def test_a_former_config_that_was_trained_to_the_top_does_not_enter_again():
    top = tuple(replace(r, trial=replace(r.trial, resource=54, rows=1.0)) for r in PRIOR)
    history = play(replace(STRATEGY, prior=top), Trainer(MIXED, top))
    assert all(result.trial.origin != "former" for result in results_of(history))


def test_an_entrant_continues_its_furthest_checkpoint_and_enters_once():
    best = ranked(PRIOR)[0]
    trial = replace(best.trial, study="later", number=0, resource=18, rows=1.0)
    further = replace(best, trial=trial, curve=(best.objective,) * 18)
    first = replace(STRATEGY, prior=(*PRIOR, further)).ask([])
    assert [t.parent for t in first if t.config == best.trial.config] == ["later-0000"]


def test_no_more_enter_than_the_budget_pays_for():
    history = play(replace(STRATEGY, budget=110), Trainer(MIXED, PRIOR))
    assert [r.trial.origin for r in results_of(history)] == ["former", "former"]
    assert spent(history) == 108


class Priced(Trainer):
    """Charges what the space says that a config costs."""

    def __call__(self, trial):
        result = super().__call__(trial)
        return replace(result, cost=result.cost * self.space.price(trial.config))


@pytest.mark.parametrize("budget", [300, 900])
def test_dear_configs_are_paid_for_out_of_the_budget_and_the_dearest_are_not_tried(budget):
    prices = {"optimizer": {"adamw": 1.0, "sgd": 3.0}, "activation": {"relu": 1.0, "silu": 1.0, "gelu": 2.0}}
    space = SearchSpace(MIXED.domains, MIXED.conditions, MIXED.defaults, prices, dearest=4.0)  # a sixth is dearer
    for strategy in (
        Hyperband(
            study="h", space=space, full_space=space, prior=(), seed=0, budget=budget, max_epochs=54, min_epochs=6
        ),
        Bayesian(study="b", space=space, full_space=space, prior=(), seed=0, budget=budget, resource=6),
    ):
        history = play(strategy, Priced(space))
        tried = [result.trial for result in results_of(history)]
        assert max(space.price(trial.config) for trial in tried) == 3.0
        assert 0.8 * budget < spent(history) <= budget
        if isinstance(strategy, Hyperband):
            # What is too dear is drawn again, not left out: the first rung has as many as a typical price allows.
            planned = shrunk(brackets(54, 6, 3)[0], 3, budget / strategy._typical)
            assert sum(trial.resource == 6 for trial in tried) >= planned[0].n_configs
            assert max(trial.resource for trial in tried) == 54


def test_no_entrants_means_that_brackets_come_at_once():
    assert {trial.resource for trial in replace(STRATEGY, entrants=0).ask([])} == {6}


def test_the_first_cycle_has_the_sizes_of_the_table():
    n_at = {}
    for generation in play(replace(STRATEGY, entrants=0, budget=sum(map(cost, brackets(54, 6, 3)))), Trainer(MIXED)):
        for result in generation.results:
            at = (result.trial.resource, result.trial.parent is not None)
            n_at[at] = n_at.get(at, 0) + 1
    # s = 2: 9@6, 3@18, 1@54; s = 1: 5@18, 1@54; s = 0: 3@54.
    assert n_at == {(6, False): 9, (18, True): 3, (54, True): 1 + 1, (18, False): 5, (54, False): 3}


def rungs_played(history):
    """Return pairs of a promotion's generation, and the results it could choose from: its bracket's rung below."""
    rung, pairs = [], []
    for generation in history:
        origin = generation.results[0].trial.origin
        if origin == "former":
            continue
        if origin == "promoted":
            pairs.append((generation, rung))
            rung = list(generation.results)
        elif rung and (rung[0].trial.resource != generation.results[0].trial.resource or rung[0].trial.parent):
            rung = list(generation.results)
        else:
            rung = rung + list(generation.results)
    return pairs


def test_the_best_of_a_rung_are_promoted_and_name_their_parents():
    pairs = rungs_played(HISTORY)
    assert len(pairs) >= 3
    for generation, rung in pairs:
        best = ranked(rung)[: len(generation.results)]
        assert [r.trial.parent for r in generation.results] == [r.trial.key for r in best]
        assert [r.trial.config for r in generation.results] == [r.trial.config for r in best]
        assert all(r.cost == r.trial.resource - best[0].trial.resource for r in generation.results)


def test_new_configs_come_in_chunks_of_the_batch():
    new = [g for g in HISTORY if g.results[0].trial.parent is None]
    assert max(len(g.results) for g in new) == 4


def test_ties_are_promoted_in_order_of_number():
    class Equal(Trainer):
        def __call__(self, trial):
            return replace(super().__call__(trial), objective=1.0, curve=(1.0,) * trial.resource)

    for generation, rung in rungs_played(play(replace(STRATEGY, entrants=0), Equal(MIXED))):
        assert [r.trial.parent for r in generation.results] == [r.trial.key for r in rung[: len(generation.results)]]


@pytest.mark.parametrize("state", [State.FAILED, State.DIVERGED])
def test_what_failed_is_not_promoted(state):
    def failing(trial):
        return state if trial.parent is None and trial.number % 4 else None

    history = play(replace(STRATEGY, entrants=0, prior=()), Trainer(MIXED, failing=failing))
    promoted = [r.trial for r in results_of(history) if r.trial.origin == "promoted"]
    by_key = {r.trial.key: r for r in results_of(history)}
    assert promoted
    assert all(by_key[trial.parent].state is State.COMPLETE for trial in promoted)


def test_a_promotion_that_fails_ends_its_line_and_not_the_study():
    history = play(replace(STRATEGY, entrants=0), Trainer(MIXED, failing=lambda t: State.FAILED if t.parent else None))
    assert max(result.trial.resource for result in results_of(history) if result.state is State.COMPLETE) == 54
    assert spent(history) <= 900


def test_resuming_in_the_middle_of_a_bracket_goes_on_as_before():
    for done in range(len(HISTORY)):
        assert STRATEGY.ask(HISTORY[:done]) == [result.trial for result in HISTORY[done].results]
    assert STRATEGY.ask(HISTORY) == []


def test_early_stopping_saves_budget_for_more_trials():
    class Impatient(Trainer):
        def __call__(self, trial):
            result = super().__call__(trial)
            return replace(result, cost=result.cost / 2)

    assert len(results_of(play(STRATEGY, Impatient(MIXED, PRIOR)))) > len(results_of(HISTORY))


def test_resources_only_rise_along_a_line_of_parents():
    by_key = {r.trial.key: r.trial for r in (*PRIOR, *results_of(HISTORY))}
    for trial in by_key.values():
        line = [trial]
        while line[-1].parent:
            line.append(by_key[line[-1].parent])
        assert all(child.resource > parent.resource for child, parent in pairwise(line))
        assert len({identity(member.config) for member in line}) == 1


def test_a_bracket_goes_on_when_the_space_ends_on_a_batchs_boundary():
    space = SearchSpace({"a": Categorical(tuple(range(8)))})  # one batch, and a bracket that asks for nine
    strategy = Hyperband(
        study="h", space=space, full_space=space, prior=(), seed=0, budget=500, max_epochs=27, min_epochs=3, batch=8
    )
    done = results(strategy, Trainer(space))
    assert sum(result.trial.origin == "promoted" for result in done) >= 3
    assert max(result.trial.resource for result in done) == 27
