"""The portfolios: chosen as the sources say; those in the repository are what the script makes of its measurements."""

import json
from itertools import combinations

import numpy as np
import pytest

from benchmarks import portfolio
from hone import models
from hone.errors import UserError


def test_regret_is_0_for_the_best_and_1_from_the_median_on():
    found = portfolio.regrets([[3.0, 1.0, 2.0, None, 9.0], [5.0, 5.0, 5.0, 5.0, 5.0]])
    np.testing.assert_allclose(found[:, 0], [1.0, 0.0, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(found[:, 1], 0.0)


def test_greedily_each_config_is_the_one_that_helps_most_beside_those_before_it():
    regret = np.array([[0.5, 0.5, 0.5], [0.0, 0.5, 1.0], [0.1, 0.05, 0.6], [1.0, 1.0, 0.2], [0.0, 0.1, 0.4]])
    assert portfolio.greedy(regret, 3) == [4, 3, 2]
    assert portfolio.greedy(regret[:3], 2) == [2, 1]


def test_a_blind_choice_is_the_mean_over_all_choices():
    regret = np.random.default_rng(0).random(8)
    for k in (1, 3, 7):
        brute = [min(regret[0], *(regret[1 + i] for i in chosen)) for chosen in combinations(range(7), k)]
        assert portfolio.blind(regret, k) == pytest.approx(np.mean(brute))


def test_a_set_that_is_left_out_has_no_say():
    regret = np.random.default_rng(0).random((9, 4))
    before = portfolio.left_out(regret, 2)[1]
    regret[:, 1] = regret[::-1, 1]
    chosen = portfolio.greedy(np.delete(regret, 1, axis=1), 2)
    assert portfolio.left_out(regret, 2)[1] != before
    assert portfolio.left_out(regret, 2)[1][2] == regret[[0, *chosen], 1].min()


def test_the_portfolios_are_what_was_learned_from_what_was_measured():
    content = json.loads(portfolio.MEASURED.read_text())
    learned = {}
    for family in portfolio.FAMILIES:
        measured = content["families"][family]
        tried = portfolio.candidates(family, content["configs"])
        regret = portfolio.regrets([measured["objectives"][name] for name in portfolio.SETS])
        assert portfolio.greedy(regret, len(measured["chosen"])) == measured["chosen"]
        learned[family] = [tried[i] for i in measured["chosen"]]
    assert portfolio.LEARNED.read_text() == portfolio.source(learned)


def test_measurements_of_other_configs_than_are_drawn_today_are_refused():
    content = json.loads(portfolio.MEASURED.read_text())
    assert portfolio.known(content) == {name: each["objectives"] for name, each in content["families"].items()}
    content["families"]["resnet"]["tried"][1]["learning_rate"] *= 2
    with pytest.raises(
        UserError, match=r"^portfolio\.json: families\.resnet\.tried: not the \d+ configs .* --relearn$"
    ):
        portfolio.known(content)


def test_a_set_is_split_and_a_config_trained_on_it():
    rows = portfolio.data("wine")
    assert (len(rows.train), len(rows.validation)) == (89, 89)
    assert portfolio.data("binned").inputs.cardinalities == (7,) * 7
    default = models.default_space("mlp").default
    assert portfolio.measure(portfolio.Job("mlp", "wine", 0, default)) < -0.9  # accuracy, of three classes
