"""What the three search stages have in common: run a strategy to its end, and hand on what it found."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import pandas as pd

from hone import metrics, models
from hone.data.problem import Problem
from hone.errors import MachineError, UserError
from hone.parallel import reason, settle
from hone.search import edges, narrowing
from hone.search.over_folds import OverFolds
from hone.search.plateau import StopOnPlateau
from hone.search.proposals import charge
from hone.search.strategy import Strategy
from hone.search.transfer import Transfer
from hone.space import SearchSpace
from hone.study import generations
from hone.trial import Config, Result, State, ranked, spent
from tasks import checkpoints, files, trainables, trials, warm_start
from tasks.journal import Journal
from tasks.params import HANDED_ON
from tasks.quantities import seconds, size
from tasks.reporting import GenerationInfo
from tasks.stage import Stage
from tasks.trainables import read_problem

Keep = Callable[[Sequence[Result]], Sequence[Result]]
IN_PLAY = 2 * HANDED_ON
"""Of how many trials that may be continued the checkpoints are kept; any other is trained again if it is continued."""

REPLAY = "replay"
"""The study that trains the finalists again; each of its trials names the fold that it is scored on."""


@dataclass(frozen=True)
class Findings:
    """What a phase finds when it starts: the problem, all former results, and the space they narrowed.

    full: the space as params state it. space: what the former phase left of it. budget: what this phase may spend,
    in epochs over all training rows: its share, and what the former phases left of theirs. total: of all phases.
    n_folds: where trials train on folds, how many; budget and total count an epoch on all of them once, then.
    transfer: what earlier studies say. families: where the family is a hyperparameter, the default config of each.
    replays: what the replays of finalists may take, in whole trainings of the default; None: what params say.
    """

    problem: Problem
    full: SearchSpace
    space: SearchSpace
    prior: tuple[Result, ...]
    budget: float
    total: float
    transfer: Transfer | None = None
    families: tuple[Config, ...] = ()
    replays: int | None = None
    n_folds: int = 1


def best(results: Sequence[Result]) -> list[Result]:
    """Return the results whose checkpoints are handed on, the best first."""
    return ranked(results)[:HANDED_ON]


def in_play(results: Sequence[Result], top: int) -> list[Result]:
    """Return the likeliest results to be continued, the best first. top: the epochs of a whole training."""
    superseded = {result.trial.parent for result in results if result.state is not State.FAILED}
    return [
        result
        for result in ranked(results)
        if result.trial.resource < top and not result.pruned and result.trial.key not in superseded
    ][:IN_PLAY]


def findings(stage: Stage, shares: Sequence[float], *former: str) -> Findings:
    """Return what the former stages, named in their order, hand to this one.

    shares: of the budget: those of the former stages, then this one's.
    """
    problem = read_problem(stage.path("data", "split"))
    full = trainables.full_space(stage)
    space = full
    for name in former:
        space = SearchSpace.from_json(files.read_json(stage.path("artifacts", name, "space.json"))["space"])
    prior = [r for name in former for r in trials.read(stage.path("artifacts", name, "trials.parquet"))]
    assert stage.allowed is not None
    total = stage.allowed.epochs
    search, n_folds = stage.params.search, stage.params.split.n_folds
    # Params are checked before there is data: what is idle on this table may be all that a study shares.
    studies = warm_start.studies(stage.root, search.warm_start, full, passed_over=stage.reporter.warning)
    return Findings(
        problem,
        full,
        space,
        tuple(prior),
        allowance(total, shares, prior, n_folds, full) / n_folds,
        total / n_folds,
        transfer=Transfer(full, studies) if studies else None,
        families=models.starts(stage.params.model.family, full),
        replays=stage.allowed.replays,
        n_folds=n_folds,
    )


def allowance(
    total: float, shares: Sequence[float], prior: Sequence[Result], n_folds: int = 1, space: SearchSpace | None = None
) -> float:
    """Return what a phase may spend of a budget: all that is due to it and to those before it, less what they spent."""
    return total * math.fsum(shares) - math.fsum(charge(result, n_folds, space) for result in prior)


def limited(budget: float, n_trials: int, price: float) -> float:
    """Return a budget that pays for no more than so many trials of a price, in epochs; 0 trials: no limit."""
    return min(budget, n_trials * price) if n_trials else budget


def run(
    stage: Stage,
    strategy: Strategy,
    found: Findings,
    *,
    study: str,
    former: Sequence[str] = (),
    plateau: int = 0,
    keep: Keep = best,
    budget: float | None = None,
) -> list[Result]:
    """Return the results of a strategy that has run to its end, going on where a killed run stopped.

    study: the name its trials carry. former: stages whose handed-on checkpoints may be continued. plateau: end
    after this many generations without a better objective; 0 never. keep: whose checkpoints are kept, of the results
    so far, the most wanted first. budget: what it may spend, for the display, as in `Findings`.

    Raises UserError if not one trial completed, of this phase or of those before, MachineError if the machine fails.
    """
    problem = found.problem
    if budget is not None:
        budget *= found.n_folds
    store = stage.workdir / "checkpoints"
    journal = Journal(stage.workdir / f"{study}.jsonl")
    if journal.n_damaged:
        stage.reporter.warning(f"{study}: {journal.n_damaged} lines of its journal are damaged; their trials run again")
    trainable = trainables.of_stage(stage, store, former)
    disk = stage.params.execution.disk
    if found.n_folds > 1 and study != REPLAY:
        strategy = OverFolds(strategy=strategy, n_folds=found.n_folds, prior=found.prior)
    if plateau:
        strategy = StopOnPlateau(strategy, plateau)
    history = []
    for generation in generations(
        strategy,
        trainable,
        stage.executor,
        # What failed may have failed of the machine (its memory): after a kill or an edit it is tried again.
        finished=[
            result
            for result in journal.results
            if result.state is State.DIVERGED
            or (result.state is State.COMPLETE and not (study == REPLAY and trainable.missing(result.trial)))
        ],
        on_result=journal.append,
        step=lambda index, work: stage.step(f"{study}, generation {index + 1}", work),
    ):
        history.append(generation)
        results = [result for past in history for result in past.results]
        if study != REPLAY:
            # Of all that is known: after a kill, that is more than the generations that are replayed so far.
            wanted = [result.trial.key for result in keep(journal.results)]
            checkpoints.keep(store, study, wanted, None if disk is None else size(disk))
        stage.track_generation(generation, [*found.prior, *results], problem.metric)
        shown = results if study == REPLAY else [*found.prior, *results]
        cost = spent(history)
        _show(stage, study, results, shown, problem.metric, cost, budget, share_spent(found, cost, study))
    results = [result for past in history for result in past.results]
    if n_pruned := sum(result.pruned for result in results):
        stage.reporter.message(f"{study}: {n_pruned} of {len(results)} trials were clearly beaten before the last fold")
    if not results and found.prior:
        stage.reporter.message(f"{study}: nothing new was proposed: the budget is spent, or all of the space is tried")
    elif not results:
        raise UserError(f"{study}: the budget pays for no trial; raise it, or the share of this phase")
    elif not ranked(results) and (study == REPLAY or not ranked(found.prior)):
        why, times = Counter(str(result.error) for result in results).most_common(1)[0]
        raise UserError(f"{study}: all {len(results)} trials failed; most often ({times} times): {why}")
    elif not ranked(results):
        stage.reporter.warning(f"{study}: all {len(results)} trials failed; what was found before stands")
    return results


def share_spent(found: Findings, cost: float, study: str) -> float | None:
    """Return which share of the whole search's budget is spent, 0 to 1; None for replays, which spend none of it.

    cost: of the study's trials so far.
    """
    if study == REPLAY:
        return None
    before = math.fsum(charge(result, found.n_folds, found.full) for result in found.prior)
    return min(1.0, (before + cost) / (found.total * found.n_folds))


def hand_on(stage: Stage, found: Findings, results: list[Result], keep: float) -> None:
    """Write what a phase found: its trials, the narrowed space, its best, its metrics and its curve."""
    metric = found.problem.metric
    narrowed = narrowing.narrow(found.space, results, keep)
    incumbent = (trials.top(results) or trials.top(found.prior))[0]
    trials.write(stage.artifact("trials.parquet"), results, metric)
    files.write_json(
        stage.artifact("space.json"),
        {
            "searched": found.full.to_json(),
            "space": narrowed.space.to_json(),
            "changes": [asdict(change) for change in narrowed.changes],
        },
    )
    files.write_json(
        stage.artifact("best.json"),
        {
            "key": incumbent.trial.key,
            "config": dict(incumbent.trial.config),
            "resource": incumbent.trial.resource,
            "rows": incumbent.trial.rows,
            "best_epoch": incumbent.best_epoch,
            "metric": metric,
            "value": metrics.value(metric, incumbent.objective),
            "edges": [asdict(edge) for edge in edges.at_edge(found.full, incumbent.trial.config, models.LIMITS)],
        },
    )
    write_summary(stage, metric, results, found.prior)


def hand_on_checkpoints(stage: Stage, results: list[Result]) -> None:
    """Copy the checkpoints of a phase's best to its outs, where a later phase may continue them.

    Those that are gone are trained again first.
    """
    store, wanted = stage.workdir / "checkpoints", [result.trial for result in best(results) if not result.pruned]
    trainable = trainables.of_stage(stage, store)
    lost = [trial for trial in wanted if trainable.missing(trial)]
    for _, outcome in settle(trainable.again, lost, stage.executor):
        if isinstance(outcome, Exception):
            raise MachineError(f"a checkpoint is gone, and cannot be trained again ({reason(outcome)}); run again")
    checkpoints.copy([trial.key for trial in wanted], store, stage.artifact("checkpoints"))


def write_summary(stage: Stage, metric: str, results: list[Result], prior: Sequence[Result]) -> None:
    """Write the phase's metrics, and its best-so-far curve for `dvc plots`. prior: what was found before it."""
    counts = Counter(result.state for result in results)
    files.write_json(
        stage.artifact("metrics.json"),
        {
            "trials": len(results),
            "complete": counts[State.COMPLETE],
            "diverged": counts[State.DIVERGED],
            "failed": counts[State.FAILED],
            **({"pruned": sum(result.pruned for result in results)} if any(r.folds for r in results) else {}),
            "epochs": round(sum(result.cost for result in results), 6),
            f"best_{metric}": metrics.value(metric, (trials.top(results) or trials.top(prior))[0].objective),
        },
    )
    rows, best, cost = [], float("inf"), 0.0
    for result in results:
        cost += result.cost
        best = min(best, result.objective)
        if best < float("inf"):
            rows.append(
                {"trial": len(prior) + result.trial.number, "epochs": cost, "best": metrics.value(metric, best)}
            )
    files.write_csv(stage.artifact("history.csv"), pd.DataFrame(rows, columns=["trial", "epochs", "best"]))


def _show(
    stage: Stage,
    study: str,
    results: list[Result],
    all_results: list[Result],
    metric: str,
    cost: float,
    budget: float | None,
    done: float | None,
) -> None:
    best = ranked(all_results)
    generation = results[-1].trial.generation
    limit = stage.params.budget.time_limit
    stage.reporter.generation(
        GenerationInfo(
            stage=study,
            index=generation,
            n_trials=len(results),
            best=metrics.value(metric, best[0].objective) if best else None,
            metric=metric,
            spent=cost,
            budget=budget if budget is not None else cost,
            n_failed=sum(result.state is not State.COMPLETE for result in results),
            done=done,
            until=None if limit is None or stage.began is None else stage.began + seconds(limit),
        )
    )
