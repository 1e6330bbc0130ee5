"""Numbers and verdicts in words, for the terminal and the report alike."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hone.evaluation.bootstrap import Interval
from hone.evaluation.gap import Gap

MINUS, DASH = "−", "–"
LABELS = {"roc_auc": "ROC AUC", "rmse": "RMSE", "mae": "MAE", "r2": "R²", "f1": "F1"}
SHOWN = 5
"""Metrics in a table in the terminal; files, pages and the report have them all."""
NEXT = (
    "Where to look next: artifacts/report/report.html (pictures), `hone ui` (every trial), `dvc metrics diff` (since"
    " the last commit)"
)
MODELS = {"boosting_tuned": "boosting, tuned"}


def model(name: str) -> str:
    """Return a baseline's name as people write it."""
    return MODELS.get(name, name)


def label(metric: str) -> str:
    """Return a metric's name as people write it."""
    return LABELS.get(metric, metric.replace("_", " "))


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
    return min(6, max(0, 1 - _power(high - low), 2 - _power(value) if value else 0))


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
    if value is None or not std or math.isnan(std):
        return number(value)
    places = max(0, min(1 - _power(std), 3 - _power(value)))
    return f"{number(value, places)} ± {number(std, places)}"


def verdict(metric: str, gain: Interval, n_rows: int, confidence: float) -> str:
    """Return what the gain over the defaults comes to, in one or two sentences."""
    places = decimals(gain.low, gain.high)
    size = number(abs(gain.value), places)
    share = f"{100 * confidence:g} % interval {signed(gain.low, places)} to {signed(gain.high, places)}"
    if math.isnan(gain.low):
        return f"The gain over the defaults is {signed(gain.value)} in {label(metric)}; these rows give it no interval."
    if gain.excludes_zero and gain.value > 0:
        return f"Tuning helped: {label(metric)} is better than at the defaults by {size} ({share})."
    if gain.excludes_zero:
        return (
            f"Tuning did harm: {label(metric)} is worse than at the defaults by {size} ({share}). "
            "The search fitted the validation rows; give it more of them, or more replays."
        )
    if gain.low == gain.high == 0:
        return f"Tuning changed nothing: {label(metric)} is the same as at the defaults on all {n_rows:,} rows."
    return (
        f"No proof of a gain: {label(metric)} differs from the defaults' by {signed(gain.value, places)}, "
        f"and the {share} includes zero on {n_rows:,} rows."
    )


def against(metric: str, name: str, gain: Interval, n_rows: int, confidence: float) -> str:
    """Return what the network's gain over another model, on the same sealed rows, comes to, in one or two sentences."""
    rival = f"gradient {model(name)}"
    places = decimals(gain.low, gain.high)
    size = number(abs(gain.value), places)
    share = f"{100 * confidence:g} % interval {signed(gain.low, places)} to {signed(gain.high, places)}"
    if math.isnan(gain.low):
        return f"The gain over {rival} is {signed(gain.value)} in {label(metric)}; these rows give it no interval."
    if gain.high < 0:
        return (
            f"A network is the wrong tool here: {rival}, fitted to the same rows, is better in {label(metric)} "
            f"by {size} ({share}). Use it instead."
        )
    if gain.low > 0:
        return f"The network beats {rival}, fitted to the same rows: {label(metric)} is better by {size} ({share})."
    return (
        f"No proof that the network beats {rival}: {label(metric)} differs by {signed(gain.value, places)}, "
        f"and the {share} includes zero on {n_rows:,} rows."
    )


def harm_sentence(gains: Mapping[str, Interval]) -> str | None:
    """Return which of these metrics became worse beyond doubt, in a sentence, or None."""
    worse = {name: gain for name, gain in gains.items() if gain.high < 0}
    if not worse:
        return None
    listed = ", ".join(
        f"{label(name)} {signed(gain.value, decimals(gain.low, gain.high))}" for name, gain in worse.items()
    )
    return f"By other metrics tuning did harm: {listed}. If one of them is what you care about, set data.metric to it."


KINDS = {"one": "One network", "seeds": "An average over seeds", "greedy": "A greedily chosen ensemble"}


def composed(metric: str, model: Mapping[str, Any]) -> str:
    """Return what the final model is made of, why, and at which cost. model: its part of retrain's metrics.json."""
    found = model["held_out"]
    text = f"{KINDS[model['kind']]}: {plural(model['networks'], 'network')} of {plural(model['configs'], 'config')}"
    text += f", {number(model['times_one'], 1)} times the work of one for each prediction."
    if found:
        order = sorted(found, key=list(KINDS).index)
        scores = ", ".join(f"{KINDS[kind].lower()} {number(found[kind]['value'])}" for kind in order)
        text += f" On held-out rows, {label(metric)}: {scores}."
    if model["temperature"] != 1:
        loss = model["calibration"]["log_loss"]
        text += (
            f" Probabilities are softened by a temperature of {number(model['temperature'], 2)}"
            f" (log loss on held-out rows {number(loss['before'])}, then {number(loss['after'])})."
        )
    if model["threshold"] is not None:
        gain = model["calibration"][metric]
        text += (
            f" The positive class is predicted from a probability of {number(model['threshold'], 3)} on"
            f" ({label(metric)} on held-out rows {number(gain['before'])}, then {number(gain['after'])})."
        )
    return text


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
            "the final model has more rows and averages several networks, but check that the rows are alike."
        )
    return f"{seen[0].upper()}{seen[1:]}: the difference is within what chance explains (±{chance})."


def plural(count: int, noun: str) -> str:
    """Return a count with its noun, e.g. ``1 trial`` or ``1,200 trials``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _power(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0
