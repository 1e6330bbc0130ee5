"""What the final model is made of: one network, an average over seeds or an ensemble of the finalists; calibration.

All is chosen by what the finalists' replays predict for rows that they did not see. A temperature or threshold that is
not better by more than its own standard error, by cross-fitting, is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hone import metrics
from hone.evaluation import bootstrap, calibration, ensemble
from hone.evaluation.delivery import MARGIN, N_RESAMPLES
from hone.seeds import derive
from tasks.held_out import HeldOut
from tasks.params import Params, Retrain

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
N_PARTS = 5


@dataclass(frozen=True)
class Member:
    """Networks of one config: how many, and the share of the average that they have together."""

    config: Mapping[str, Any]
    epochs: int | None
    networks: int
    share: float


@dataclass(frozen=True)
class Composition:
    """What the final model is made of, and why.

    kind: one, seeds or greedy. scores: what each kind got on held-out rows, where one, or as many as there are
    replays, predict; and how many networks it is in the final model.
    temperature: 1 changes nothing. threshold: of the positive class; None predicts the most probable class.
    held_out: by metric, before and after calibration, by cross-fitting.
    """

    kind: str
    members: tuple[Member, ...]
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    temperature: float = 1.0
    threshold: float | None = None
    held_out: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def compose(winner: Mapping[str, Any], held_out: HeldOut, params: Retrain, seed: int) -> Composition:
    """Return what the final model is made of. winner: winner.json, whose standings are the finalists.

    Where the defaults are delivered, no other config is a member. Otherwise at least one member is a searched config.
    """
    standings = winner["standings"][:1] if delivered(winner) == "defaults" else winner["standings"]
    finalists = [one for one in standings if held_out.of(one["config"])]
    alone = Member(winner["config"], winner["epochs"], params.seeds, 1.0)
    if not finalists or finalists[0]["config"] != winner["config"]:
        return Composition("seeds", (alone,))
    chooser = _Chooser(held_out, derive(seed, "compose"))
    averages = [np.asarray(np.mean(held_out.of(one["config"]), axis=0)) for one in finalists]
    singles = held_out.of(winner["config"])
    counts = chooser.draw(averages)
    options: dict[str, list[Floats]] = {"seeds": [averages[0]], "one": list(singles)}
    drawn = [one["config"] for one, count in zip(finalists, counts, strict=True) if count]
    only_defaults = delivered(winner) == "tuned" and drawn == [winner.get("default", {}).get("config")]
    if chooser.cross_fits and not only_defaults:
        options["greedy"] = [chooser.fit(lambda learn, rows: chooser.drawn(averages, learn, rows))]
    members = {
        "seeds": (alone,),
        "one": (Member(winner["config"], winner["epochs"], 1, 1.0),),
        "greedy": tuple(
            Member(one["config"], one["epochs"], params.seeds, float(count / counts.sum()))
            for one, count in zip(finalists, counts, strict=True)
            if count
        ),
    }
    kind = "seeds" if params.ensemble == "greedy" and only_defaults else params.ensemble
    scores = {
        name: {"value": chooser.value(found), "networks": sum(member.networks for member in members[name])}
        for name, found in options.items()
    }
    prediction = {"seeds": averages[0], "one": singles[0], "greedy": ensemble.average(averages, counts)}[kind]
    found = chooser.calibrate(prediction, params)
    return Composition(kind, members[kind], scores, found.temperature, found.threshold, found.measured)


def compose_defaults(winner: Mapping[str, Any], held_out: HeldOut, params: Retrain, seed: int) -> Composition:
    """Return what the defaults' model is made of: an average over seeds, calibrated as the final model is."""
    default = winner["default"]
    alone = Member(default["config"], default["epochs"], params.seeds, 1.0)
    predictions = held_out.of(default["config"])
    if not predictions:
        return Composition("seeds", (alone,))
    found = calibrate(held_out, np.asarray(np.mean(predictions, axis=0)), params, seed)
    return Composition("seeds", (alone,), {}, found.temperature, found.threshold, found.measured)


def delivered(winner: Mapping[str, Any]) -> str:
    """Return whose config is delivered, "tuned" or "defaults". winner: winner.json."""
    return str(winner.get("delivered", "tuned"))


def group(params: Params) -> str | None:
    """Return the column whose equal values keep rows together, or None."""
    return params.split.together


def calibrate(held_out: HeldOut, prediction: Floats, params: Retrain, seed: int) -> "Calibration":
    """Return how predictions like this one, which is for held-out rows, are calibrated."""
    return _Chooser(held_out, derive(seed, "compose")).calibrate(prediction, params)


@dataclass(frozen=True)
class Calibration:
    """A temperature (1 changes nothing), a threshold (None: the most probable class), and what each was worth."""

    temperature: float = 1.0
    threshold: float | None = None
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class _Chooser:
    """Held-out rows, their parts for cross-fitting, and how predictions for them compare."""

    def __init__(self, held_out: HeldOut, seed: int) -> None:
        self._truth, self._groups, self._problem = held_out.truth, held_out.groups, held_out.problem
        self._metric, self._seed = held_out.problem.metric, seed
        self._n_units = len(self._truth) if self._groups is None else len(np.unique(self._groups))
        self._part = ensemble.parts(len(self._truth), min(N_PARTS, self._n_units), seed, self._groups)

    @property
    def cross_fits(self) -> bool:
        """Return whether there are rows apart from others: of a single group, nothing can be learnt and then tried."""
        return self._n_units > 1

    def fit(self, learn: Callable[[Rows, Rows], Floats]) -> Floats:
        """Return predictions for all rows, of each part by what is learnt from the others."""
        return ensemble.cross_fitted(self._part, learn)

    def draw(self, averages: Sequence[Floats], rows: Rows | None = None) -> NDArray[np.int64]:
        """Return how often each model is in the ensemble that is best on these rows; None: on all."""
        rows = np.arange(len(self._truth)) if rows is None else rows
        return ensemble.greedy(
            [average[rows] for average in averages],
            lambda prediction: ensemble.loss(self._problem, self._truth[rows], prediction),
        )

    def drawn(self, averages: Sequence[Floats], learn: Rows, rows: Rows) -> Floats:
        """Return predictions for `rows` of the ensemble that is best on the rows `learn`."""
        return ensemble.average([average[rows] for average in averages], self.draw(averages, learn))

    def value(self, predictions: Sequence[Floats], metric: str | None = None) -> float:
        """Return the mean over predictions of a metric."""
        name = metric or self._metric
        return float(np.mean([metrics.score(name, self._problem, self._truth, one) for one in predictions]))

    def gain(self, metric: str, ours: Floats, theirs: Floats) -> tuple[float, float]:
        """Return by how much the metric of some predictions is better than of others, and its standard error."""
        drawn = bootstrap.scores(
            [metric],
            self._problem,
            self._truth,
            {"ours": ours, "theirs": theirs},
            n_resamples=N_RESAMPLES,
            seed=self._seed,
            groups=self._groups,
        )
        after, before = self.value([ours], metric), self.value([theirs], metric)
        found = bootstrap.gain(metric, after, before, drawn["ours"][metric], drawn["theirs"][metric], 0.95)
        return (found.value, found.deviation) if found.n_resamples else (0.0, 0.0)

    def calibrate(self, prediction: Floats, params: Retrain) -> Calibration:
        """Return a temperature and a threshold for predictions like this, each only if it is better on unseen rows."""
        problem, truth = self._problem, self._truth
        if problem.classes is None or not self.cross_fits:
            return Calibration()
        temperature, threshold, measured = 1.0, None, dict[str, Mapping[str, float]]()
        if params.calibrate:

            def temper(learn: Rows, rows: Rows) -> Floats:
                found = calibration.temperature(prediction[learn], truth[learn])
                return calibration.tempered(prediction[rows], found)

            tempered = self.fit(temper)
            gain, error = self.gain("log_loss", tempered, prediction)
            before, after = (self.value([one], "log_loss") for one in (prediction, tempered))
            measured["log_loss"] = {"before": before, "after": after}
            off = [calibration.error(problem, one, truth) for one in (prediction, tempered)]
            measured["calibration_error"] = {"before": off[0], "after": off[1]}
            if gain > MARGIN * error and off[1] <= off[0]:
                temperature = calibration.temperature(prediction, truth)
                prediction = calibration.tempered(prediction, temperature)
        metric = self._metric
        if params.threshold and problem.positive_index is not None and metric in calibration.DECIDED:

            def decided(learn: Rows, rows: Rows) -> Floats:
                found = calibration.threshold(metric, problem, prediction[learn], truth[learn])
                return calibration.for_metric(metric, problem, prediction[rows], found)

            chosen = self.fit(decided)
            gain, error = self.gain(metric, chosen, prediction)
            measured[metric] = {"before": self.value([prediction]), "after": self.value([chosen])}
            if gain > MARGIN * error:
                threshold = calibration.threshold(metric, problem, prediction, truth)
        return Calibration(temperature, threshold, measured)
