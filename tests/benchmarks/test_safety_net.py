"""The safety net's benchmark, on curves made up here: the best is cut away, and only a net brings it back."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.search import methods, runs, safety_net
from benchmarks.search.curves import EPOCHS, Curves, Measure
from hone.space import Categorical, Float, Int, SearchSpace

SPACE = SearchSpace({"rate": Float(1e-4, 1e-1, log=True), "dropout": Float(0.0, 1.0), "width": Int(1, 9)})
BEST = {"rate": 5e-2, "dropout": 0.9, "width": 8}


class Bowl(Curves):
    """Accuracies that fall with the distance from the best config; no file is read."""

    def __post_init__(self) -> None: ...

    def space(self, margin=0.0):
        return SPACE

    def curve(self, task, config):
        away = float(np.sum((SPACE.encode(config) - SPACE.encode(BEST)) ** 2))
        return 90 - 40 * away - 20 / np.arange(1.0, EPOCHS + 1)

    def climbed(self, task):
        return BEST, 90.0, 10.0


CURVES = Bowl(Path("nowhere"))
ARMS = ["cut, the default net", "cut, both 0"]


def test_the_cut_keeps_the_half_of_each_number_without_the_best():
    space = SearchSpace({**SPACE.domains, "kind": Categorical(("a", "b"))})
    low = safety_net.cut(space, {**BEST, "kind": "a"})
    assert low.domains["rate"].high == pytest.approx(10**-2.5, rel=1e-4)
    assert [low.domains[name] for name in ("dropout", "width", "kind")] == [
        Float(0.0, 0.5),
        Int(1, 5),
        Categorical(("a", "b")),
    ]
    high = safety_net.cut(SPACE, {"rate": 1e-4, "dropout": 0.1, "width": 2})
    assert [high.domains["dropout"], high.domains["width"]] == [Float(0.5, 1.0), Int(5, 9)]
    assert high.domains["rate"].high == 1e-1


@pytest.mark.parametrize("width", range(1, 10))
def test_a_whole_number_in_the_middle_is_cut_away_too(width):
    domain = safety_net.cut(SPACE, {**BEST, "width": width}).domains["width"]
    assert not domain.contains(width)
    assert 4 <= domain.high - domain.low + 1 <= 5


def played(name: str, since: str, monkeypatch, budget: int = 12) -> tuple[dict[str, SearchSpace], dict[str, list]]:
    """Return each phase's space, and its trials, by study."""
    trials: dict[str, list] = {}
    spaces: dict[str, SearchSpace] = {}
    play = methods.play

    def watched(strategy, trainable):
        results = play(strategy, trainable)
        spaces[strategy.study] = strategy.space
        trials[strategy.study] = [result.trial for result in results]
        return results

    monkeypatch.setattr(methods, "play", watched)
    measure = Measure(CURVES, "a", 90.0, 10.0, seed=0)
    safety_net.chain(measure, SPACE, budget * EPOCHS, 0, arm=safety_net.ARMS[name], best=BEST, since=since)
    return spaces, trials


@pytest.mark.parametrize(
    ("since", "cut_for"), [("second", ["search_bayes", "search_hyperband"]), ("third", ["search_hyperband"])]
)
def test_without_a_net_a_phase_proposes_nothing_from_outside_of_the_cut(since, cut_for, monkeypatch):
    spaces, trials = played("cut, both 0", since, monkeypatch)
    inside = safety_net.cut(SPACE, BEST)
    assert [study for study, space in spaces.items() if space.domains == inside.domains] == cut_for
    new = {study: [each for each in own if each.parent is None] for study, own in trials.items()}
    within = [study for study, own in new.items() if all(inside.contains(each.config) for each in own)]
    assert within == cut_for


def test_each_arm_has_the_strands_that_its_name_says(monkeypatch):
    origins = {}
    for name in [each for each in safety_net.ARMS if each.startswith("cut")]:
        with monkeypatch.context() as patched:
            _, trials = played(name, "second", patched, budget=22)
        origins[name] = {each.origin for own in trials.values() for each in own} & {"outside", "whole"}
    assert origins == {
        "cut, the default net": {"outside", "whole"},
        "cut, outside = 0": {"whole"},
        "cut, whole = 0": {"outside"},
        "cut, both 0": set(),
    }


def test_what_was_not_narrowed_has_no_outside(monkeypatch):
    _, trials = played("not narrowed", "second", monkeypatch)
    assert all(each.origin != "outside" for own in trials.values() for each in own)


def test_a_best_that_was_cut_away_is_found_by_the_net_alone():
    regrets = {name: [] for name in ARMS}
    for name in ARMS:
        for seed in range(3):
            measure = Measure(CURVES, "a", 90.0, 10.0, seed=seed)
            safety_net.chain(measure, SPACE, 12 * EPOCHS, seed, arm=safety_net.ARMS[name], best=BEST, since="second")
            regrets[name].append(measure.regret(12 * EPOCHS))
    means = {name: fmean(own) for name, own in regrets.items()}
    assert means["cut, the default net"] < means["cut, both 0"] / 4


def test_a_second_call_does_only_what_is_missing(tmp_path, monkeypatch, capsys):
    @contextmanager
    def threads(workers):
        with ThreadPoolExecutor(1) as executor:
            yield executor

    def execute(job, curves, bounds, budgets, method):
        assert bounds == (90.0, 10.0)
        if job.task == "b":
            raise ValueError("no")
        done.append(job)
        assert method.keywords == {"arm": safety_net.ARMS[job.method.split(" (")[0]], "best": BEST, "since": "third"}
        return runs.Run(job, [(52.0, 5.0)], 52.0, 0.1)

    done: list[runs.Job] = []
    climbed: list[str] = []
    monkeypatch.setattr(runs, "pool", threads)
    monkeypatch.setattr(Bowl, "climbed", lambda self, task: climbed.append(task) or (BEST, 90.0, 10.0))
    monkeypatch.setattr(runs, "execute", execute)
    assert safety_net.compare(CURVES, ["a"], [2.0], 1, "third", 1, tmp_path) == 0
    assert safety_net.compare(CURVES, ["a"], [2.0], 2, "third", 1, tmp_path) == 0
    assert len(done) == len({*done}) == 2 * len(safety_net.ARMS)
    assert {dataclasses.replace(job, seed=0) for job in done[len(safety_net.ARMS) :]} == {*done[: len(safety_net.ARMS)]}
    text = (tmp_path / "third.md").read_text(encoding="utf-8")
    assert "| cut, both 0 (third) | 5.00 ± 0.00 |" in text
    assert safety_net.compare(CURVES, ["a"], [2.0], 2, "third", 1, tmp_path) == 0
    assert climbed == ["a", "a"]  # which takes its time, and there was nothing left to do the third time
    assert safety_net.compare(CURVES, ["a", "b"], [2.0], 2, "third", 1, tmp_path) == 1
    assert "failed: not narrowed (third), task b, seed 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--since", "first"], "--since first"), (["--tasks", "3945"], "--tasks 3945")]
)
def test_bad_input_is_one_line_and_exit_code_2_and_no_judging_task_is_taken(tmp_path, arguments, said):
    result = CliRunner().invoke(safety_net.app, [str(tmp_path), *arguments, "--out", str(tmp_path / "out")])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr
