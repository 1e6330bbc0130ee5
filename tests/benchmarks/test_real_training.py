"""The benchmark on real training: what an epoch costs, when a score is reached, and what the ratios are of."""

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import optuna
import pytest
from sklearn import datasets
from typer.testing import CliRunner

from benchmarks import real_training
from benchmarks.generated import frame
from benchmarks.search import peers, runs
from hone import models
from hone.training.train import Outcome
from hone.trial import State, Trial

SPACE = models.default_space("mlp")
BUDGET = 170.0


@pytest.fixture
def tiny(monkeypatch):
    """One set, of 100 rows, by the name digits."""
    rows = frame(*datasets.make_classification(100, 6, n_informative=4, random_state=0))
    monkeypatch.setattr(real_training, "SETS", {"digits": lambda: rows})
    real_training.data.cache_clear()
    yield real_training.data("digits")
    real_training.data.cache_clear()


def trial(number: int, resource: int, parent: str | None = None) -> Trial:
    return Trial(study="s", number=number, generation=0, config=SPACE.default, resource=resource, parent=parent)


def test_going_on_from_a_checkpoint_costs_the_new_epochs_and_is_the_same_training(tiny):
    parts, whole = real_training.Trainer(tiny, seed=0), real_training.Trainer(tiny, seed=0)
    first = parts(trial(0, 3))
    second = parts(trial(1, 6, first.trial.key))
    assert [first.cost, second.cost, parts.spent] == [3, 3, 6]
    assert second.curve == whole(trial(0, 6)).curve
    assert parts.trace == [(3, first.objective), (6, second.objective)]


def test_an_epoch_that_early_stopping_saved_is_not_paid_for(tiny):
    trainer = real_training.Trainer(tiny, seed=0)
    costs = [trainer(trial(number, real_training.WHOLE)).cost for number in range(3)]
    assert trainer.spent == sum(costs) < 3 * real_training.WHOLE
    assert min(costs) > real_training.DEFAULTS.train.patience


def test_another_seed_is_another_training(tiny):
    one, other = (real_training.Trainer(tiny, seed)(trial(0, 3)).curve for seed in (0, 1))
    assert one != other


@pytest.mark.parametrize("name", real_training.METHODS)
def test_a_method_repeats_itself_keeps_to_its_budget_and_begins_with_the_default(name, tiny, monkeypatch):
    seen = []
    train = real_training.train

    def watched(config, *arguments, **options):
        seen.append(dict(config))
        return train(config, *arguments, **options)

    monkeypatch.setattr(real_training, "train", watched)
    job = runs.Job(name, "digits", 0, BUDGET)
    first, second = real_training.execute(job), real_training.execute(job)
    assert (first.trace, first.spent) == (second.trace, second.spent)
    assert BUDGET - real_training.WHOLE < first.spent <= BUDGET
    values = [best for _, best in first.trace]
    assert values == sorted(values, reverse=True)
    default = models.without_idle(SPACE, tiny.inputs).default
    assert default in seen[:8]
    assert real_training.execute(runs.Job(name, "digits", 1, BUDGET)).trace != first.trace


def test_the_search_goes_on_from_checkpoints(tiny, monkeypatch):
    continued = []
    train = real_training.train

    def watched(*arguments, checkpoint, **options):
        continued.append(checkpoint is not None)
        return train(*arguments, checkpoint=checkpoint, **options)

    monkeypatch.setattr(real_training, "train", watched)
    real_training.execute(runs.Job("chain", "digits", 0, BUDGET))
    assert any(continued)
    assert not all(continued)


def test_a_training_that_fails_is_an_error_and_no_cheap_run(tiny, monkeypatch):
    def out_of_memory(*arguments, **options):
        raise MemoryError("no room")

    monkeypatch.setattr(real_training, "train", out_of_memory)
    with pytest.raises(MemoryError, match="no room"):
        real_training.execute(runs.Job("random", "digits", 0, BUDGET))


def test_a_diverged_training_costs_its_epochs_and_tpe_goes_on(tiny, monkeypatch):
    diverged = Outcome(state=State.DIVERGED, epochs_run=20, error="diverged")
    monkeypatch.setattr(real_training, "train", lambda *arguments, **options: (diverged, None))
    run = real_training.execute(runs.Job("tpe", "digits", 0, BUDGET))
    assert run.trace == [(20, math.inf)]
    assert run.spent == 120  # less than a whole training is left


def run(method: str, seed: int, *trace: tuple[float, float], task: str = "digits", budget: float = 100) -> runs.Run:
    return runs.Run(runs.Job(method, task, seed, budget), list(trace), budget, 1.0)


def test_a_score_that_ties_is_reached_and_one_that_was_missed_never_is():
    own = run("chain", 0, (6, -0.8), (12, -0.9))
    assert [real_training.needed(own, target) for target in (-0.7, -0.9, -0.91)] == [6, 12, math.inf]


def row(found: list[runs.Run], sets: tuple[str, ...] = ("digits",)) -> list[str]:
    return real_training.compared({each.job: each for each in found}, sets, "chain", "random", 100)


def test_ratios_are_of_the_same_seed_and_set_and_their_mean_is_geometric():
    found = [
        *(run("chain", 0, (25, -0.9)), run("random", 0, (50, -0.9), (80, -0.9))),
        *(run("chain", 1, (10, -0.5), (100, -0.8)), run("random", 1, (100, -0.8))),
        run("chain", 2, (1, -1.0)),  # whose peer is missing
    ]
    logs = np.log([4, 1])
    half = 12.7062047362 * logs.std(ddof=1) / math.sqrt(2)
    interval = f"[{math.exp(logs.mean() - half):.2f}, {math.exp(logs.mean() + half):.2f}]"
    own = f"{math.sqrt(2):.2f}"
    *described, by_budget, by_peer = row(found)
    assert described == ["digits", "chain", "accuracy 0.8500", "2 of 2", "random"]
    assert by_budget == f"2.00 {interval}"
    assert by_peer.startswith(f"{own} [")


def test_who_never_reaches_a_score_counts_with_the_whole_budget_and_is_marked():
    found = [
        *(run("chain", 0, (25, -0.9)), run("random", 0, (100, -0.9))),
        *(run("chain", 1, (10, -0.5)), run("random", 1, (60, -0.8))),
    ]
    *_, n_reached, _, by_budget, by_peer = row(found)
    assert n_reached == "1 of 2"
    assert by_budget.startswith("≤ 2.00 [")
    assert by_peer.startswith(f"≤ {math.sqrt(4 * 0.6):.2f} [")


def test_all_sets_together_are_averaged_by_seed_where_a_seed_has_them_all():
    found = [
        *(run("chain", 0, (25, -0.9)), run("random", 0, (100, -0.9))),
        *(run("chain", 0, (100, 2), task="friedman1"), run("random", 0, (100, 2), task="friedman1")),
        *(run("chain", 1, (1, -0.9)), run("random", 1, (100, -0.9))),
    ]
    assert row(found, ("digits", "friedman1")) == ["all", "chain", "", "2 of 2", "random", "2.00", "2.00"]


def test_what_is_suggested_in_turn_is_a_config_of_what_is_active_only():
    assert peers.suggested(optuna.trial.FixedTrial(dict(SPACE.default)), SPACE) == SPACE.default
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    configs = [peers.suggested(study.ask(), SPACE) for _ in range(50)]
    assert all(SPACE.contains(config) for config in configs)
    assert len({len(config) for config in configs}) > 1


def test_a_second_call_does_only_what_is_missing_and_a_failure_is_told(tmp_path, monkeypatch, capsys):
    @contextmanager
    def threads(workers):
        with ThreadPoolExecutor(1) as executor:
            yield executor

    done = []

    def execute(job):
        if job.method == "tpe":
            raise ValueError("no")
        done.append(job)
        return run(job.method, job.seed, (50, -0.9 - job.seed / 100))

    monkeypatch.setattr(runs, "pool", threads)
    monkeypatch.setattr(real_training, "execute", execute)
    assert real_training.measure(["digits"], ["chain", "random"], 1, 100, 1, tmp_path) == 0
    assert real_training.measure(["digits"], ["chain", "random"], 2, 100, 1, tmp_path) == 0
    assert [(job.method, job.seed) for job in done] == [("chain", 0), ("random", 0), ("chain", 1), ("random", 1)]
    assert "| digits | chain | accuracy 0.9050 | 2 of 2 | random | 2.00 [2.00, 2.00] |" in (
        tmp_path / "table.md"
    ).read_text(encoding="utf-8")
    assert real_training.measure(["digits"], ["chain", "tpe"], 1, 100, 1, tmp_path) == 1
    assert "failed: tpe, task digits, seed 0" in capsys.readouterr().out
    assert len(done) == 4


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--sets", "digit"], "did you mean digits?"), (["--methods", "tpo"], "did you mean tpe?")]
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, arguments, said):
    result = CliRunner().invoke(real_training.app, [*arguments, "--out", str(tmp_path / "out")])
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert said in result.stderr
    assert not (tmp_path / "out").exists()
