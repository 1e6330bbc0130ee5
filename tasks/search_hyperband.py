"""The fine phase: Hyperband's ladder, continuing checkpoints, then finalists trained again; their best mean wins."""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from hone import metrics, models
from hone.search import edges
from hone.search.freeze_thaw import FreezeThaw
from hone.search.hyperband import Hyperband, ladder
from hone.search.replay import Replay, Score, finalists, winner
from hone.search.strategy import Strategy
from hone.trial import State
from tasks import files, held_out, phase, trainables, trials
from tasks.allowance import within
from tasks.params import HANDED_ON, Params
from tasks.phase import Findings
from tasks.stage import Stage

FORMER = ("search_random", "search_bayes")


def strategy(params: Params, found: Findings, study: str) -> Strategy:
    """Return the fine phase's strategy."""
    chosen = params.search.hyperband
    if chosen.promotion == "model":
        return FreezeThaw(
            study=study,
            space=found.space,
            full_space=found.full,
            prior=found.prior,
            seed=params.seed,
            budget=found.budget,
            ladder=ladder(params.train.epochs, chosen.min_epochs, chosen.reduction_factor),
            promote=True,
            eta=chosen.reduction_factor,
            finish=chosen.finish * found.total,
            whole=chosen.whole,
            late=chosen.late,
            handed_on=HANDED_ON,
            batch=chosen.batch,
            outside=chosen.outside,
            transfer=found.transfer,
        )
    sampler = params.search.bayes.sampler
    return Hyperband(
        study=study,
        space=found.space,
        full_space=found.full,
        prior=found.prior,
        seed=params.seed,
        budget=found.budget,
        max_epochs=params.train.epochs,
        min_epochs=chosen.min_epochs,
        eta=chosen.reduction_factor,
        entrants=chosen.entrants,
        batch=chosen.batch,
        outside=chosen.outside,
        sampler="tpe" if sampler == "curves" else sampler,
    )


def run(stage: Stage) -> None:
    """Write the trials of the refinement, the replays of the finalists, and the winner."""
    stage = within(stage)
    params, search = stage.params, stage.params.search
    shares = [search.random.share, search.bayes.share, search.hyperband.share]
    found = phase.findings(stage, shares, *FORMER)
    results = phase.run(
        stage,
        strategy(params, found, stage.name),
        found,
        study=stage.name,
        former=FORMER,
        plateau=search.hyperband.plateau,
        keep=lambda results: phase.in_play(results, params.train.epochs),
        budget=found.budget,
    )
    phase.hand_on(stage, found, results, params.search.bayes.keep)

    # The default is always among them: what is tuned must beat it here, or it wins.
    asked = params.search.replay
    best = [each for each in finalists([*found.prior, *results], asked.finalists) if each != found.full.default]
    prices = [found.full.price(config) * max(1, params.split.folds) for config in (found.full.default, *best)]
    n, seeds = replayed_within(found.replays, prices, asked.seeds)
    if (n, seeds) != (len(best), asked.seeds):
        stage.reporter.message(
            f"replay: the time limit pays for {found.replays} trainings: {n} of {len(best)} finalists,"
            f" {seeds} of {asked.seeds} seeds"
        )
    configs = (found.full.default, *best[:n])
    again = Replay(
        study=phase.REPLAY, configs=configs, resource=params.train.epochs, seeds=seeds, folds=params.split.folds
    )
    before = replace(found, prior=(*found.prior, *results))
    replayed = phase.run(stage, again, before, study=phase.REPLAY)
    trials.write(stage.artifact("replay.parquet"), replayed, found.problem.metric)
    complete = [result.trial.key for result in replayed if result.state is State.COMPLETE]
    held_out.gather(stage.artifact("held_out.safetensors"), stage.workdir / "checkpoints", complete)

    metric, scores = found.problem.metric, winner(configs, replayed, apart=params.train.stopping == "apart")
    default = next(score for score in scores if score.config == found.full.default)
    widen = edges.at_edge(found.full, scores[0].config, models.LIMITS)
    files.write_json(
        stage.artifact("winner.json"),
        {
            "family": params.model.family,
            "metric": metric,
            **_described(scores[0], metric),
            "n_rows": _scored_rows(stage),
            "edges": [asdict(edge) for edge in widen],
            "default": _described(default, metric),
            "standings": [_described(score, metric) for score in scores],
        },
    )
    for edge in widen:
        stage.reporter.warning(edge.message)


def replayed_within(allowed: int | None, prices: Sequence[float], seeds: int) -> tuple[int, int]:
    """Return how many finalists to train again, and over how many seeds, for a price of so many whole trainings.

    prices: of a training of the default, then of each finalist, best first. Where there are more finalists than seeds
    a finalist is given up, else a seed; one of each is left whatever it costs.
    """
    n = len(prices) - 1
    while allowed is not None and seeds * math.fsum(prices[: n + 1]) > allowed and (n > 1 or seeds > 1):
        if n > seeds or seeds == 1:
            n -= 1
        else:
            seeds -= 1
    return n, seeds


def _scored_rows(stage: Stage) -> int:
    """Return how many rows the replays were scored on: the validation rows, or all that are in a fold."""
    params, split = stage.params, stage.path("data", "split")
    n_folds = params.split.folds
    loaded = [trainables.load(split, stage.rows, params.data.scaling, fold) for fold in (range(n_folds) or [None])]
    return sum(len(data.validation) for data in loaded if data.validation is not None)


def _described(score: Score, metric: str) -> dict[str, Any]:
    """Return a finalist's score in its metric. epochs: for the final training; None if all replays failed."""
    return {
        "config": dict(score.config),
        "value": metrics.value(metric, score.mean) if score.n else None,
        "std": score.std if score.n else None,
        "n": score.n,
        "n_failed": score.n_failed,
        "epochs": score.epochs if score.n else None,
    }
