"""The measure's rules, and the harness that keeps what was run, on curves made up here."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search import peers, report, runs
from benchmarks.search.curves import EPOCHS, Curves, Measure
from benchmarks.search.methods import METHODS
from hone.errors import UserError
from hone.space import Float, Int, SearchSpace
from hone.trial import Trial

SPACE = SearchSpace({"rate": Float(1e-4, 1e-1, log=True), "width": Int(1, 9)})
BOUNDS = (90.0, 10.0)
JOB = runs.Job(method="random", task="a", seed=0, budget=4.0)


class Rising(Curves):
    """Curves that rise by the epoch to a height that the config sets; no file is read."""

    def __post_init__(self) -> None: ...

    def space(self, margin=0.0):
        return SPACE

    def curve(self, task, config):
        height = 80 - 10 * abs(np.log10(config["rate"]) + 2) - abs(config["width"] - 7)
        return height - 20 / np.arange(1.0, EPOCHS + 1)

    def bounds(self, task):
        return BOUNDS


CURVES = Rising(Path("nowhere"))


def measure(noise: float = 0.0, seed: int = 0, task: str = "a") -> Measure:
    return Measure(CURVES, task, *BOUNDS, seed=seed, noise=noise)


def config(width: int) -> dict[str, float | int]:
    return {"rate": 1e-2, "width": width}


def value(width: int, epochs: int = EPOCHS) -> float:
    return float(CURVES.curve("a", config(width))[epochs - 1])


def test_going_on_costs_the_new_epochs_only():
    m = measure()
    m.train(config(7), 9)
    m.train(config(7), 26)
    assert m.spent == 26
    m.train(config(7), 26)
    assert m.spent == 26
    m.train(config(6), 9)
    assert m.spent == 35


def test_a_trial_that_has_a_parent_costs_what_lies_between_them():
    m = measure()
    first = Trial(study="s", number=0, generation=0, config=config(7), resource=9)
    second = dataclasses.replace(first, number=1, generation=1, resource=26, parent=first.key)
    assert [m(first).cost, m(second).cost] == [9.0, 17.0]
    assert m.spent == 26


def test_the_incumbent_is_the_best_of_those_trained_furthest():
    m = measure()
    m.train(config(7), 9)  # the best config, but not for long
    m.train(config(2), EPOCHS)
    m.train(config(3), EPOCHS)
    m.train(config(6), 26)  # better, but not as far
    assert m.regret(m.spent) == pytest.approx(100 * (90 - value(3)) / 80)


def test_regret_is_that_of_the_whole_curve_before_it_is_trained():
    m = measure()
    m.train(config(7), 9)
    assert m.regret(9) == pytest.approx(100 * (90 - value(7)) / 80)


def test_what_was_not_finished_within_a_budget_does_not_count():
    m = measure()
    m.train(config(2), EPOCHS)
    m.train(config(7), EPOCHS)
    assert m.regret(2 * EPOCHS - 1) == pytest.approx(100 * (90 - value(2)) / 80)
    assert m.regret(2 * EPOCHS) == pytest.approx(100 * (90 - value(7)) / 80)


def test_noise_is_seeded_by_config_task_and_seed_and_leaves_the_regret_alone():
    seen = measure(noise=1.0).train(config(7), EPOCHS)
    assert np.array_equal(seen, measure(noise=1.0).train(config(7), EPOCHS))
    others = (measure(1.0, seed=1), measure(1.0, task="b"))
    assert not any(np.array_equal(seen, other.train(config(7), EPOCHS)) for other in others)
    residual = seen - CURVES.curve("a", config(7))
    assert 0.5 < residual.std() < 1.5  # of 52 draws: five standard errors
    m = measure(noise=1.0)
    m.train(config(7), EPOCHS)
    assert m.regret(EPOCHS) == pytest.approx(100 * (90 - value(7)) / 80)


@pytest.mark.parametrize("name", sorted({*runs.ALL} - {*peers.NEEDS} - {"gp"}))
def test_a_method_repeats_itself_and_keeps_to_its_budget(name):
    first, second = (runs.execute(dataclasses.replace(JOB, method=name), CURVES, BOUNDS, [4.0]) for _ in range(2))
    assert first.trace == second.trace
    assert 3 * EPOCHS < first.spent <= 4 * EPOCHS


@pytest.mark.parametrize("name", sorted(runs.ANY_BUDGET - {*peers.NEEDS} - {"gp"}))
def test_a_method_that_is_run_once_does_the_same_with_less(name):
    job = dataclasses.replace(JOB, method=name, seed=3)
    whole = runs.execute(dataclasses.replace(job, budget=24.0), CURVES, BOUNDS, [9.0])
    less = runs.execute(dataclasses.replace(job, budget=9.0), CURVES, BOUNDS, [9.0])
    assert [point for point in whole.trace if point[0] <= 9 * EPOCHS] == less.trace


def test_peers_get_whole_numbers_within_the_space():
    assert peers.legal(SPACE, {"rate": 0.5, "width": 6.6}) == {"rate": 0.1, "width": 7}
    assert peers.distributions(SPACE)["width"].to_internal_repr(3) == 3
    assert type(peers.distributions(SPACE, whole=False)["width"]).__name__ == "FloatDistribution"


def test_a_run_comes_back_from_its_file_and_a_torn_line_is_dropped(tmp_path):
    run = runs.execute(JOB, CURVES, BOUNDS, [2.0, 4.0])
    store = runs.Store(tmp_path / "deep" / "runs.jsonl")
    assert store.read() == []
    store.append(run)
    whole = store.path.read_bytes()
    (kept,) = store.read()
    assert (kept.job, kept.trace, kept.spent) == (run.job, run.trace, run.spent)
    with store.path.open("ab") as file:
        file.write(whole[: len(whole) // 2])
    assert [found.job for found in store.read()] == [run.job]
    store.append(run)
    assert len(store.read()) == 2


def test_a_line_that_is_no_run_is_named(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"method": "tpe"}\n')
    with pytest.raises(UserError, match=r"runs\.jsonl, line 1"):
        runs.Store(path).read()


def test_a_run_answers_a_smaller_budget_only_where_the_method_does_not_mind_it():
    for name, answered in (("random", True), ("tpe", True), ("chain", False), ("naive_chain", False)):
        own = dataclasses.replace(JOB, method=name)
        known = [runs.Run(own, [(52.0, 10.0)], 208.0, 0.1)]
        assert runs.done(own, known) is known[0]
        assert (runs.done(dataclasses.replace(own, budget=2.0), known) is not None) is answered
        assert runs.done(dataclasses.replace(own, budget=9.0), known) is None
        for other in ({"noise": 1.0}, {"margin": 0.02}, {"seed": 1}, {"task": "b"}):
            assert runs.done(dataclasses.replace(own, **other), known) is None


def test_jobs_of_a_method_that_does_not_mind_its_budget_come_once():
    found = runs.jobs(["random", "chain"], ["a", "b"], range(2), [10, 25])
    assert [job.budget for job in found if job.method == "random"] == [25] * 4
    assert sorted(job.budget for job in found if job.method == "chain") == [10] * 4 + [25] * 4
    assert found[0].method == "chain"
    assert found[0].budget == 25


def test_thinning_keeps_every_asked_budget_to_the_bit():
    trace = [(float(i), 100.0 - i / 10) for i in range(1, 900)]
    run = runs.Run(JOB, runs.thinned(trace, [104.0, 520.0, 777.0]), 899.0, 0.0)
    assert len(run.trace) <= runs.MOST_POINTS
    assert [run.regret(at / EPOCHS) for at in (104.0, 520.0, 777.0)] == [dict(trace)[at] for at in (104, 520, 777)]
    assert runs.thinned([(1.0, 5.0), (2.0, 5.0), (3.0, 4.0)]) == [(1.0, 5.0), (3.0, 4.0)]


def made(method: str, task: str, seed: int, regret: float) -> runs.Run:
    return runs.Run(runs.Job(method, task, seed, 10.0), [(52.0, regret)], 520.0, 2.0)


def test_the_table_means_over_tasks_first_and_errs_over_seeds():
    found = [made("random", "a", 0, 1), made("random", "b", 0, 3), made("random", "a", 1, 4), made("random", "b", 1, 8)]
    (row,) = report.rows(found, ["random", "tpe"], [10.0])
    assert row.regrets == ((4.0, 2.0),)  # seeds' means 2 and 6
    assert report.cells(row) == ["random", "4.00 ± 2.00", "2.0"]


def test_a_seed_that_lacks_a_task_is_left_out():
    found = [made("random", "a", 0, 1), made("random", "b", 0, 3), made("random", "a", 1, 50)]
    (row,) = report.rows(found, ["random"], [10.0])
    assert row.regrets == ((2.0, None),)


def test_a_second_call_does_only_what_is_missing(tmp_path, monkeypatch, capsys):
    from concurrent.futures import ThreadPoolExecutor
    from contextlib import contextmanager

    from benchmarks.search import __main__ as command

    @contextmanager
    def threads(workers):
        with ThreadPoolExecutor(1) as executor:  # made-up curves need no process of their own
            yield executor

    monkeypatch.setattr(runs, "pool", threads)

    def call(seeds: int) -> list[dict[str, object]]:
        arguments = (["a"], ["random", "tpe"], [2.0, 4.0], range(seeds), 0.0, 0.0, 1, tmp_path)
        assert command.measure(CURVES, *arguments) == 0
        return [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]

    first = call(1)
    assert len(first) == 2
    shutil.copy(tmp_path / "table.md", tmp_path / "before.md")
    assert call(1) == first
    assert (tmp_path / "before.md").read_text() == (tmp_path / "table.md").read_text()
    assert len(call(2)) == 4
    assert "±" in (tmp_path / "table.md").read_text().splitlines()[-1]
    assert (tmp_path / "regret.html").stat().st_size < 200_000
    assert "2 new runs of 4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--methods", "tpo"], "did you mean tpe?"),
        (["--tasks", "c"], "--tasks c"),
        (["--budgets", "0"], "--budgets 0"),
        (["--budgets", "ten"], "--budgets ten"),
        (["--workers", "none"], "--workers none"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, arguments, said):
    from typer.testing import CliRunner

    from benchmarks.search.__main__ import app

    names = {"hyperparameters": [{"name": "OpenML_task_id", "choices": ["a", "b"]}]}
    for name, content in (("config_space.json", names), ("public.json", {"a": {}})):
        (tmp_path / name).write_text(json.dumps(content))
    for name in ("model.onnx", "encoding.json"):
        (tmp_path / name).touch()
    result = CliRunner().invoke(app, [str(tmp_path), *arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_hones_methods_and_the_peers_have_names_of_their_own():
    assert not {*METHODS} & {*peers.PEERS}
