"""One trial over folds: a network for each, of their curves the mean, and no more folds for what is clearly beaten.

Notation
--------
k, m     folds in all, and those that a trial was trained on so far
b_i      the bar: objective on fold i of the best config so far, its rival, at the epoch where its mean is best
d_i      the trial's best objective on fold i, less b_i; fold-wise best epochs flatter it, which is on the safe side
D        the mean of all k differences, which the rival must fear if it is not positive

After m folds D is predicted by the mean d of m differences. With the others drawn like those seen, D - d has the
variance s² (k - m) / (k m), that of a sample of m from k (Cochran, Sampling Techniques, 1977, section 2.6). A trial is
beaten if t says that D > 0 but for a chance below `LEVEL`. Two or three differences are too few to tell their own s²:
the variance of b over all folds counts for k - 1 more of them. Paired differences vary less than that as a rule,
because a hard fold is hard for both.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from scipy import stats

from hone.training.checkpoint import Checkpoint
from hone.training.train import Outcome
from hone.trial import State, best_epoch, mean_curve

LEVEL = 0.05  # chance that a trial left off would have been better than its rival

TrainFold = Callable[[int, Checkpoint | None], tuple[Outcome, Checkpoint | None]]


@dataclass(frozen=True, kw_only=True)
class FoldsOutcome:
    """How a trial over folds went. outcome: of all folds; folds: the curve of each that it was trained on."""

    outcome: Outcome
    folds: tuple[tuple[float, ...], ...] = ()


def train_folds(
    train_fold: TrainFold,
    n_folds: int,
    *,
    bar: Sequence[float] = (),
    parent: Checkpoint | None = None,
    apart: bool = False,
) -> tuple[FoldsOutcome, Checkpoint | None]:
    """Return the outcome over folds, one after the other, and a checkpoint that holds all of theirs.

    train_fold: trains on one fold, on from its part of the parent's checkpoint. bar: see `hone.trial.Trial`; a trial
    that is clearly beaten ends there, without a checkpoint. The first fold that does not complete ends it as well.
    The outcome's curve is the mean, epoch by epoch, and its best epoch where that is best, or if rows apart choose the
    epochs, the middle one of theirs. Its metrics are means of those at each fold's own best epoch.
    """
    before = parts(parent, n_folds) if parent is not None else [None] * n_folds
    done: list[tuple[Outcome, Checkpoint]] = []
    epochs_run = 0
    for fold in range(n_folds):
        outcome, checkpoint = train_fold(fold, before[fold])
        epochs_run += outcome.epochs_run
        if checkpoint is None:
            failed = Outcome(state=outcome.state, epochs_run=epochs_run, error=f"fold {fold}: {outcome.error}")
            return FoldsOutcome(outcome=failed), None
        done.append((outcome, checkpoint))
        if clearly_beaten([min(each.curve) for each, _ in done], bar):
            break
    outcomes = [outcome for outcome, _ in done]
    shift = correction(len(done), bar) if len(done) < n_folds else 0.0
    curve = tuple(value + shift for value in mean_curve([outcome.curve for outcome in outcomes]))
    chosen = sorted(outcome.best_epoch for outcome in outcomes)[len(outcomes) // 2] if apart else best_epoch(curve)
    whole = Outcome(
        state=State.COMPLETE,
        objective=curve[chosen - 1],
        curve=curve,
        losses=mean_curve([outcome.losses for outcome in outcomes]) if all(each.losses for each in outcomes) else (),
        best_epoch=chosen,
        metrics={
            name: fmean(outcome.metrics[name] for outcome in outcomes)
            for name in outcomes[0].metrics
            if all(name in outcome.metrics for outcome in outcomes)
        },
        epochs_run=epochs_run,
    )
    folds = tuple(outcome.curve for outcome in outcomes)
    checkpoint = joined([checkpoint for _, checkpoint in done]) if len(done) == n_folds else None
    return FoldsOutcome(outcome=whole, folds=folds), checkpoint


def joined(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    """Return one checkpoint that holds those of all folds."""
    tensors = {f"{fold}.{name}": tensor for fold, one in enumerate(checkpoints) for name, tensor in one.tensors.items()}
    return Checkpoint(tensors, {"folds": [dict(one.info) for one in checkpoints]})


def parts(checkpoint: Checkpoint, n_folds: int) -> list[Checkpoint | None]:
    """Return the checkpoints of the folds that `joined` was given."""
    found: list[Checkpoint | None] = []
    for fold, info in enumerate(checkpoint.info["folds"]):
        prefix = f"{fold}."
        under = {n.removeprefix(prefix): tensor for n, tensor in checkpoint.tensors.items() if n.startswith(prefix)}
        found.append(Checkpoint(under, info))
    assert len(found) == n_folds, f"a checkpoint of {len(found)} folds, not {n_folds}"
    return found


def clearly_beaten(objectives: Sequence[float], bar: Sequence[float]) -> bool:
    """Return whether objectives on the first folds leave next to no hope to be better than the bar over all folds."""
    k, m = len(bar), len(objectives)
    if not 0 < m < k:
        return False
    differences = [own - other for own, other in zip(objectives, bar, strict=False)]
    mean = fmean(differences)
    freedom = (m - 1) + (k - 1)
    squares = math.fsum((d - mean) ** 2 for d in differences) + (k - 1) * variance(bar)
    deviation = math.sqrt(squares / freedom * (k - m) / (k * m))
    # Folds that are all alike say nothing of how much differences vary.
    return deviation > 0 and mean > float(stats.t.ppf(1 - LEVEL, freedom)) * deviation


def correction(n: int, bar: Sequence[float]) -> float:
    """Return what to add to the mean objective on the first n folds, as the others are easier or harder for the rival.

    A trial that is clearly beaten is worse than its rival by its mean difference then, and never looks better.
    """
    return fmean(bar) - fmean(bar[:n]) if 0 < n < len(bar) else 0.0
