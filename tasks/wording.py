"""Numbers and verdicts in words, for the terminal and the report alike."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hone import metrics
from hone.data.audit.findings import QUESTIONS
from hone.evaluation.bootstrap import Interval
from hone.evaluation.gap import Gap

if TYPE_CHECKING:
    from hone.data.problem import Problem

MINUS, DASH = "−", "–"
LABELS = {"roc_auc": "ROC AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R²", "f1": "F1"}
SHOWN = 5
"""Metrics in a table in the terminal; files, pages and the report have them all."""
NEXT = (
    "Where to look next: artifacts/report/report.html (pictures), `hone ui` (every trial), `dvc metrics diff` (since"
    " the last commit)"
)
MOST_PLACES = 6
RIVALS = ("constant", "linear", "boosting", "boosting_tuned")
"""Models that train no network, from the simplest on; evaluation.json has those that could be fitted."""
VALIDATED = ("dummy", *RIVALS[1:])
"""The same models as the stage `baseline` names them, on validation rows."""
MODELS = {
    "dummy": "constant",
    "boosting_tuned": "boosting, tuned",
}
"""Models in tables, where they are not called as in the files."""
NAMES = {
    "tuned": "the tuned model",
    "defaults": "the defaults",
    "constant": "a constant",
    "linear": "a linear model",
    "boosting": "gradient boosting",
    "boosting_tuned": "tuned gradient boosting",
}
"""Models in sentences."""
DELIVERED_DEFAULTS = "the network at its defaults"


def model(name: str) -> str:
    """Return a model's name as tables show it."""
    return MODELS.get(name, name)


def delivered(found: Mapping[str, Any]) -> str:
    """Return what tables and figures call the delivered model: "tuned", or "delivered" where it is the defaults.

    found: evaluation.json or winner.json.
    """
    return "tuned" if is_tuned(found) else "delivered"


def is_tuned(found: Mapping[str, Any]) -> bool:
    """Return whether a searched config is delivered and not the defaults. found: evaluation.json or winner.json."""
    return bool(found.get("delivered", "tuned") == "tuned")


def networks(winner: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return names and replays of the default config and of the best searched one, if there is one, for a table.

    Both come from the replays: the same seeds, each config at its one epoch. winner: winner.json.
    """
    found = [("network, defaults", winner["default"])]
    if is_tuned(winner):
        return [*found, ("network, tuned", winner)]
    return [*found, ("network, best searched", winner["candidate"])] if "candidate" in winner else found


def label(metric: str) -> str:
    """Return a metric's name as people write it."""
    return LABELS.get(metric, metric.replace("_", " "))


def is_larger_better(metric: str) -> bool:
    """Return whether a metric is better if it is larger."""
    return metric != "calibration_error" and metrics.METRICS[metric].larger_is_better


def number(value: float | None, decimals: int | None = None) -> str:
    """Return a number with so many decimals, or with four significant digits; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    if decimals is not None:
        text = f"{value:,.{decimals}f}"
    elif value == 0 or 1e-3 <= abs(value) < 1e5:
        text = f"{value:,.{max(0, 3 - _power(value))}f}"
    else:
        text = f"{value:.3g}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", MINUS)


def signed(value: float | None, decimals: int | None = None) -> str:
    """Return a number with its sign, also if it is positive."""
    text = number(value, decimals)
    return f"+{text}" if value is not None and value > 0 and text != number(0.0, decimals) else text


def decimals(low: float | None, high: float | None, value: float | None = None) -> int | None:
    """Return how many decimals say something about a number with this interval: two digits of its width.

    value: a number that is to have three digits in any case.
    """
    if low is None or high is None or not math.isfinite(high - low) or high <= low:
        return None
    return min(MOST_PLACES, max(0, 1 - _power(high - low), 2 - _power(value) if value else 0))


def with_interval(value: float | None, bounds: Sequence[float | None] | None, sign: bool = False) -> str:
    """Return a number with its interval in brackets, e.g. ``0.983 [0.969, 0.994]``."""
    write = signed if sign else number
    low, high = bounds or (None, None)
    places = decimals(low, high, None if sign else value)
    if low is None or high is None:
        return write(value)
    return f"{write(value, places)} [{write(low, places)}, {write(high, places)}]"


def with_std(value: float | None, std: float | None) -> str:
    """Return a mean with its standard deviation, e.g. ``0.9814 ± 0.0032``; at most four digits of the mean."""
    if value is None or not std or not math.isfinite(value) or not math.isfinite(std):
        return number(value)
    places = max(0, min(1 - _power(std), 3 - _power(value)))
    return f"{number(value, places)} ± {number(std, places)}"


def convention(problem: "Problem") -> str | None:
    """Return of which class precision, recall, F1 and areas under curves are, in a sentence; None for values."""
    if problem.classes is None:
        return None
    which = "Precision, recall, F1, ROC AUC and average precision are"
    if problem.positive_index is None:
        return f"{which} means over the classes (macro averages)."
    return f"{which} those of class {str(problem.classes[problem.positive_index])!r} (data.positive)."


@dataclass(frozen=True)
class Comparison:
    """What a metric says of two models. text: a clause without a capital at its start and without a full stop.

    better: the name of the model with the better value, None if the values are equal or one is undefined. is_proven:
    whether the interval excludes zero on the side of that model.
    """

    text: str
    better: str | None
    is_proven: bool


def compare(metric: str, first: str, second: str, gain: Interval, n_rows: int, confidence: float) -> Comparison:
    """Return which of two models is better, and by how much. Every sentence that compares two models is made by this.

    gain: of `first` over `second`, positive if `first` is better. It is stated as a positive number in favour of the
    better model, with its interval in the same direction, or with its standard error where it has no interval.
    n_rows: test rows that it was measured on.
    """
    rows = f"on these {plural(n_rows, 'row')}"
    if math.isnan(gain.value):
        return Comparison(f"{label(metric)} cannot compare {first} with {second}: it is undefined {rows}", None, False)
    if gain.value == 0:
        text = f"{first} and {second} have the same {label(metric)} {rows}"
        if gain.low != gain.high and not math.isnan(gain.low):
            text += f" ({_interval(gain, confidence, decimals(gain.low, gain.high))} in favour of {first})"
        return Comparison(text, None, False)
    (better, worse), towards = ((first, second), gain) if gain.value > 0 else ((second, first), _turned(gain))
    found = difference(metric, towards, confidence)
    if towards.low > 0:
        return Comparison(f"{better} did better than {worse}, with {found}", better, True)
    if math.isnan(towards.low):
        return Comparison(f"{better} did better than {worse}, with {found}", better, False)
    if towards.high < 0:  # the resamples of a biased metric may all lie on the other side
        text = f"{better} did better than {worse} {rows}, but the interval says the opposite, with {found}"
        return Comparison(text, better, False)
    return Comparison(f"{better} did better than {worse} {rows}, but not beyond chance, with {found}", better, False)


def difference(metric: str, towards: Interval, confidence: float) -> str:
    """Return how a metric of the better model differs, e.g. ``RMSE lower by 3.5 (95 % interval 2.1 to 5.0)``.

    towards: the gain of the better model, a positive value.
    """
    places = decimals(towards.low, towards.high)
    # What is not zero must not be written as zero: the size, and a bound that excludes zero.
    shown = [towards.value, *([towards.low] if towards.low > 0 else [])]
    while places is not None and any(float(f"{one:.{places}f}") == 0 for one in shown):
        places = places + 1 if places < MOST_PLACES else None
    way = "higher" if is_larger_better(metric) else "lower"
    if not math.isnan(towards.low):
        about = f"({_interval(towards, confidence, places)})"
    elif not math.isnan(towards.deviation):
        about = f"(standard error {number(towards.deviation)})"
    else:
        about = "(these rows give no interval)"
    return f"{label(metric)} {way} by {number(towards.value, places)} {about}"


def verdict(metric: str, gain: Interval, n_rows: int, confidence: float) -> str:
    """Return what the tuned model's gain over the defaults comes to, in one or two sentences."""
    found = compare(metric, NAMES["tuned"], NAMES["defaults"], gain, n_rows, confidence)
    if found.is_proven and found.better == NAMES["tuned"]:
        return f"Tuning helped: {found.text}."
    if found.is_proven:
        return (
            f"Tuning did harm: {found.text}. "
            "The search may have fitted the validation rows; give it more of them, or more replays."
        )
    if gain.value == gain.low == gain.high == 0:
        return f"Tuning changed nothing: {found.text}."
    return f"No proof of a gain: {found.text}."


def defaults_delivered(winner: Mapping[str, Any], confidence: float) -> str:
    """Return that the defaults are delivered, and how near the best searched config came. winner: winner.json."""
    text = f"The defaults are delivered: {why_defaults(winner)}."
    candidate = winner.get("candidate")
    if candidate is None:
        return text
    value, error = candidate.get("difference"), candidate.get("error")
    if value is not None:
        gain = Interval(value, math.nan, math.nan, math.nan if error is None else error, 0)
        found = compare(
            winner["metric"], "the best searched config", NAMES["defaults"], gain, winner["n_rows"], confidence
        )
        text += f" In the replays {found.text}."
    return text


def why_defaults(winner: Mapping[str, Any]) -> str:
    """Return why the defaults are delivered, in a clause. winner: winner.json."""
    candidate = winner.get("candidate", {})
    if failed := candidate.get("n_failed"):
        return f"{failed} of the {plural(candidate['n'] + failed, 'replay')} of the best searched config failed"
    return "no searched config beat them by more than its error"


def no_better_than_constant(metric: str, ours: str, gain: Interval, n_rows: int, confidence: float) -> str | None:
    """Return that a model is no better than a constant, or not provably; None if it is better, or if nothing tells."""
    found = compare(metric, ours, NAMES["constant"], gain, n_rows, confidence)
    if (found.is_proven and found.better == ours) or math.isnan(gain.low):
        return None
    start = "No proof that it is better than a constant" if found.better == ours else "No better than a constant"
    return f"{start}: {found.text}. A constant predicts {_constant(metric)}, whatever the columns say."


def _constant(metric: str) -> str:
    if "regression" in metrics.METRICS[metric].tasks:
        return f"the {'median' if metric == 'mae' else 'mean'} of the training and validation rows"
    if metric in ("balanced_accuracy", "f1"):  # its threshold may choose a rarer class
        return "one class for all rows, chosen by the training and validation rows"
    if metrics.METRICS[metric].needs == "label":
        return "the commonest class of the training and validation rows"
    return "each class by its share of the training and validation rows"


def against(metric: str, ours: str, name: str, gain: Interval, n_rows: int, confidence: float) -> str:
    """Return what the network's gain over a rival, fitted to the same rows, comes to, in one or two sentences."""
    rival = NAMES[name]
    found = compare(metric, ours, rival, gain, n_rows, confidence)
    if found.is_proven and found.better == rival:
        return f"A network is the wrong tool here: {found.text}. Use {rival} instead."
    if found.is_proven:
        return f"The network beats {rival}: {found.text}."
    return f"No proof that the network beats {rival}: {found.text}."


def harm_sentence(ours: str, gains: Mapping[str, Interval], confidence: float) -> str | None:
    """Return in which of these metrics a model is worse than the defaults beyond chance, in a sentence, or None."""
    worse = [difference(name, _turned(gain), confidence) for name, gain in gains.items() if is_worse(gain)]
    if not worse:
        return None
    return (
        f"By other metrics tuning did harm: {NAMES['defaults']} did better than {ours}, with {', '.join(worse)}. "
        "If one of them is what you care about, set data.metric to it."
    )


def calibration_sentence(ours: str, errors: Mapping[str, float], gain: Interval, confidence: float) -> str | None:
    """Return that probabilities are less reliable than the defaults', if they are beyond chance; None if not.

    errors: expected calibration errors by "tuned" and "defaults". gain: by how much the tuned model's is lower.
    """
    if not is_worse(gain):
        return None
    return (
        f"Probabilities are less reliable than the defaults': {NAMES['defaults']} did better than {ours}, with "
        f"{difference('calibration_error', _turned(gain), confidence)}. The expected calibration error is "
        f"{number(errors['tuned'], 3)} for {ours} and {number(errors['defaults'], 3)} for {NAMES['defaults']}."
    )


def never_predicted(
    problem: "Problem", counts: Mapping[str, int], n_rows: int, *, threshold: bool, is_balanced: bool
) -> str:
    """Return that a model never decides for some classes, and the remedies. counts: test rows of each such class.

    threshold, is_balanced: what `retrain.threshold` and `train.class_weight` say.
    """
    named = ", ".join(f"{name!r} ({plural(count, 'row')})" for name, count in list(counts.items())[:SHOWN])
    more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
    remedies = ["decide by the probabilities that `hone predict` writes"]
    if problem.task == "binary" and (not threshold or problem.metric not in ("f1", "balanced_accuracy")):
        choose = "with data.metric f1 or balanced_accuracy and retrain.threshold: true, Hone looks for the probability"
        remedies.append(f"{choose} from which to decide")
    if not is_balanced:
        remedies.append("set train.class_weight to balanced")
    return (
        f"The model never predicts what some of the {plural(n_rows, 'test row')} are: {named}{more}. "
        f"Remedies: {', or '.join(remedies)}."
    )


def is_worse(gain: Interval) -> bool:
    """Return whether a gain is a loss beyond chance."""
    return gain.value < 0 and gain.high < 0


def _interval(gain: Interval, confidence: float, places: int | None) -> str:
    return f"{100 * confidence:g} % interval {number(gain.low, places)} to {number(gain.high, places)}"


def _turned(gain: Interval) -> Interval:
    """Return the gain of the second model over the first."""
    return replace(gain, value=-gain.value, low=-gain.high, high=-gain.low)


def audited(
    report: Mapping[str, Any], where: str, before: str, shown: Sequence[Mapping[str, Any]] | None = None
) -> str:
    """Return what an audit comes to, and what was tested: it can find what is wrong, and cannot prove that nothing is.

    report: audit.json. where: findings stand "above" or "below". before: when to look into them. shown: those that
    stand there; None is all of them.
    """
    findings = report["findings"]
    n_warnings, n_shown = (
        sum(finding["severity"] == "warning" for finding in each)
        for each in (findings, findings if shown is None else shown)
    )
    if n_shown < n_warnings:
        where = f"({n_shown} of them {where})"
    if n_warnings:
        found = f"{plural(n_warnings, 'warning')} {where}: look into them {before}"
    elif any(finding["kind"] in QUESTIONS for finding in findings):
        found = f"no warning, but a question {where}: answer it {before}"
    else:
        found = "nothing obvious found" + (f" beyond what is said {where}" if findings else "")
    return f"{found}. Tested: {'; '.join(report['tested'])}"


KINDS = {"one": "One network", "seeds": "An average over seeds", "greedy": "A greedily chosen ensemble"}


def composed(metric: str, model: Mapping[str, Any]) -> str:
    """Return what the final model is made of, why, and at which cost. model: its part of retrain's metrics.json."""
    found = _compared(model["held_out"], model["kind"])
    text = f"{KINDS[model['kind']]}: {plural(model['networks'], 'network')} of {plural(model['configs'], 'config')}"
    text += f", {number(model['times_one'], 1)} times the work of one for each prediction."
    if len(found) > 1:
        order = sorted(found, key=list(KINDS).index)
        scores = ", ".join(f"{KINDS[kind].lower()} {number(found[kind]['value'])}" for kind in order)
        text += f" On held-out rows, {label(metric)}: {scores}."
    if model["temperature"] != 1:
        loss = model["calibration"]["log_loss"]
        done = "softened" if model["temperature"] > 1 else "sharpened"
        text += (
            f" Probabilities are {done} by a temperature of {number(model['temperature'], 2)}"
            f" (log loss on held-out rows {number(loss['before'])}, then {number(loss['after'])})."
        )
    if model["threshold"] is not None:
        gain = model["calibration"][metric]
        text += (
            f" The positive class is predicted from a probability of {number(model['threshold'], 3)} on"
            f" ({label(metric)} on held-out rows {number(gain['before'])}, then {number(gain['after'])})."
        )
    return text


def _compared(scores: Mapping[str, Mapping[str, float]], chosen: str) -> dict[str, Mapping[str, float]]:
    """Return the kinds that were compared on held-out rows: the chosen one, and those that are not the same there.

    With one replay an average over seeds is that one network; a greedy ensemble of its config only is the same again.
    """

    def same(first: str, second: str, *keys: str) -> bool:
        pairs = [(scores.get(first, {}).get(key, math.nan), scores.get(second, {}).get(key, math.nan)) for key in keys]
        return all(math.isclose(*pair) for pair in pairs)

    left = {"greedy"} if same("greedy", "seeds", "value", "networks") else set()
    left |= {"one" if chosen == "seeds" else "seeds"} if same("one", "seeds", "value") else set()
    left -= {chosen}
    return {kind: score for kind, score in scores.items() if kind not in left}


def gap_sentence(metric: str, validation: float, test: float, gap: Gap) -> str:
    """Return what the difference between validation and test comes to, in one or two sentences."""
    places = decimals(0.0, gap.chance)
    before, after = number(validation, places), number(test, places)
    seen = f"{label(metric)} was {before} on validation rows and is {after} on test rows"
    chance = number(gap.chance, places)
    if math.isnan(gap.chance):
        return f"{seen[0].upper()}{seen[1:]}: these rows do not say what chance explains."
    if gap.suspicious:
        return (
            f"Suspicious: {seen}, worse by {number(gap.value, places)} where chance explains {chance}. "
            "Look for leaks and duplicates in the audit, and for groups or time that a random split ignores."
        )
    if gap.value < -gap.chance:
        return (
            f"{seen[0].upper()}{seen[1:]}, better by more than chance explains ({chance}); "
            "the final model is trained on more rows, but check that the rows are alike."
        )
    return f"{seen[0].upper()}{seen[1:]}: the difference is within what chance explains (±{chance})."


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, e.g. ``1 trial`` or ``1,200 trials``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _power(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0
