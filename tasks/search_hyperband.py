"""The fine phase: Hyperband's ladder, continuing checkpoints, then finalists trained again beside the defaults.

The finalist with the best mean is delivered if it beats the defaults by more than the error of the difference.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from hone import metrics, models
from hone.evaluation import delivery
from hone.evaluation.delivery import Decision, Replays
from hone.search import edges
from hone.search.freeze_thaw import FreezeThaw
from hone.search.hyperband import Hyperband, ladder
from hone.search.replay import Replay, Score, finalists, winner
from hone.search.strategy import Strategy
from hone.seeds import derive
from hone.space import identity
from hone.trial import State
from tasks import files, held_out, phase, trainables, trials
from tasks.allowance import within
from tasks.held_out import HeldOut
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

    # The default is always among them: what is tuned must beat it here, or the default is delivered.
    asked = params.search.replay
    best = [each for each in finalists([*found.prior, *results], asked.finalists) if each != found.full.default]
    prices = [found.full.price(config) * max(1, params.split.folds) for config in (found.full.default, *best)]
    n, seeds = replayed_within(found.replays, prices, asked.seeds)
    if (n, seeds) != (len(best), asked.seeds):
        stage.reporter.message(
            f"replay: the time limit leaves {n} of {len(best)} finalists, beside the defaults, and {seeds} of "
            f"{asked.seeds} seeds"
        )
    configs = (found.full.default, *best[:n])
    again = Replay(
        study=phase.REPLAY, configs=configs, resource=params.train.epochs, seeds=seeds, folds=params.split.folds
    )
    before = replace(found, prior=(*found.prior, *results))
    replayed = phase.run(stage, again, before, study=phase.REPLAY)
    trials.write(stage.artifact("replay.parquet"), replayed, found.problem.metric)
    metric, scores = found.problem.metric, winner(configs, replayed, apart=params.train.stopping == "apart")
    # What a replay predicts at the epoch that the final model will have: its own best epoch would flatter it.
    epochs = {identity(score.config): score.epochs for score in scores}
    complete = [result.trial for result in replayed if result.state is State.COMPLETE]
    predicted = stage.artifact("held_out.safetensors")
    held_out.gather(predicted, stage.workdir / "checkpoints", {t.key: epochs[t.identity] for t in complete})
    rows = held_out.read(predicted, replayed, stage.path("data", "split"), found.problem, params.split.together)

    default = next(score for score in scores if score.config == found.full.default)
    candidate = next((score for score in scores if score is not default), None)
    decision = Decision(tuned=False)
    if candidate is not None:
        decision = decide(candidate, default, rows, max(1, params.split.folds), params.seed)
    delivered = candidate if candidate is not None and decision.tuned else default
    widen = edges.at_edge(found.full, scores[0].config, models.LIMITS)
    files.write_json(
        stage.artifact("winner.json"),
        {
            "family": params.model.family,
            "metric": metric,
            **_described(delivered, metric),
            **_decided(candidate, decision, metric),
            "n_rows": _scored_rows(stage),
            "edges": [asdict(edge) for edge in widen],
            "default": _described(default, metric),
            # What is delivered stands first, whatever its mean: the final model is made of it.
            "standings": [_described(score, metric) for score in sorted(scores, key=lambda one: one is not delivered)],
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


def decide(candidate: Score, default: Score, rows: HeldOut, n_folds: int, seed: int) -> Decision:
    """Return whether the best searched config is delivered in place of the default one; see `hone.evaluation.delivery`.

    rows: held-out rows, and what the replays of both predict for them at the epoch of the final model.
    """
    candidates, defaults = (
        Replays(
            np.reshape(score.objectives, (-1, 1 if score.n_failed else n_folds)), rows.of(score.config), score.n_failed
        )
        for score in (candidate, default)
    )
    return delivery.decide(
        rows.problem, rows.truth, candidates, defaults, seed=derive(seed, "delivery"), groups=rows.groups
    )


def _decided(candidate: Score | None, decision: Decision, metric: str) -> dict[str, Any]:
    """Return what is delivered, and how the best searched config compares with the defaults.

    Where the defaults are delivered, that config is described too.
    """
    if candidate is None:
        return {"delivered": "defaults"}
    compared = {"difference": decision.difference, "error": decision.error}
    if decision.tuned:
        return {"delivered": "tuned", **compared}
    return {"delivered": "defaults", "candidate": {**_described(candidate, metric), **compared}}


def _scored_rows(stage: Stage) -> int:
    """Return how many rows the replays were scored on: the validation rows, or all that are in a fold."""
    split, n_folds = stage.path("data", "split"), stage.params.split.folds
    return sum(trainables.n_held_out(split, fold) for fold in (range(n_folds) or [None]))


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
