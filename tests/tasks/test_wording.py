"""Numbers and verdicts in words."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hone import metrics
from hone.evaluation.bootstrap import Interval
from hone.evaluation.gap import Gap
from tasks import wording

RIVALS = ["linear", "boosting", "boosting_tuned"]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.98123, None, "0.9812"),
        (52.4, None, "52.40"),
        (12345.6, None, "12,346"),
        (1.9e-6, None, "1.9e−06"),
        (-0.25, None, "−0.2500"),
        (-0.0001, 2, "0.00"),
        (1234.5, 1, "1,234.5"),
        (0.0, None, "0.000"),
        (None, None, "–"),
        (math.nan, 3, "–"),
        (math.inf, None, "∞"),
    ],
)
def test_numbers_have_four_digits_or_so_many_decimals(value: float | None, decimals: int | None, text: str) -> None:
    assert wording.number(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "bounds", "text"),
    [
        (0.98123, (0.9694, 0.9944), "0.981 [0.969, 0.994]"),
        (54.93, (46.4, 63.4), "54.9 [46.4, 63.4]"),
        (0.5, (None, None), "0.5000"),
        (1.0, (1.0, 1.0), "1.000 [1.000, 1.000]"),
    ],
)
def test_an_interval_decides_how_many_decimals_a_number_has(value: float, bounds: tuple, text: str) -> None:
    assert wording.with_interval(value, bounds) == text


def test_a_gain_always_shows_its_sign() -> None:
    assert wording.with_interval(0.0213, (0.006, 0.039), sign=True) == "+0.021 [+0.006, +0.039]"
    assert wording.with_interval(-0.0001, (-0.02, 0.02), sign=True) == "0.000 [−0.020, +0.020]"


def test_a_mean_has_two_digits_of_its_deviation_and_four_of_its_own() -> None:
    assert wording.with_std(0.98144, 0.00322) == "0.9814 ± 0.0032"
    assert wording.with_std(52.033, 0.0981) == "52.03 ± 0.10"
    assert wording.with_std(0.9, 0.0) == "0.9000"
    assert wording.with_std(math.inf, 0.1) == wording.number(math.inf)


SENTENCE = re.compile(
    r"(?P<better>.+) did better than (?P<worse>.+?)(?P<unproven> on these [\d,]+ rows?, but .*?)?, "
    r"with (?P<label>.+) (?P<way>higher|lower) by (?P<size>\S+) \((?P<about>.+)\)"
)
SPAN = re.compile(r"(?P<share>[\d.]+) % interval (?P<low>\S+) to (?P<high>\S+)")
SIZES = st.floats(-1e7, 1e7) | st.floats(-1e-9, 1e-9) | st.floats(-1.0, 1.0) | st.just(0.0)


def parsed(text: str) -> float:
    return float(text.replace(",", "").replace(wording.MINUS, "-"))


@st.composite
def gains(draw: st.DrawFn) -> Interval:
    """Draw a gain: with an interval around it or on the other side of zero, without any, or undefined."""
    value = draw(SIZES)
    kind = draw(st.sampled_from(["interval", "interval", "interval", "opposite", "none", "undefined", "error"]))
    if kind == "undefined":
        return Interval(math.nan, math.nan, math.nan, math.nan, 0)
    if kind in ("none", "error"):
        return Interval(value, math.nan, math.nan, abs(draw(SIZES)) if kind == "error" else math.nan, 0)
    low, high = value - abs(draw(SIZES)), value + abs(draw(SIZES))
    if kind == "opposite" and value:  # a percentile interval of a biased metric need not hold its estimate
        low, high = sorted(-math.copysign(abs(draw(SIZES)) + 1e-9, value) for _ in range(2))
    return Interval(value, low, high, (high - low) / 4, 100)


@settings(max_examples=500, deadline=None)
@given(
    metric=st.sampled_from(sorted(metrics.METRICS)),
    gain=gains(),
    confidence=st.sampled_from([0.5, 0.9, 0.95, 0.999]),
    n_rows=st.integers(1, 10**6),
)
def test_a_comparison_names_the_better_model_and_states_its_lead_and_interval_with_one_sign(
    metric: str, gain: Interval, confidence: float, n_rows: int
) -> None:
    found = wording.compare(metric, "the first", "the second", gain, n_rows, confidence)
    if math.isnan(gain.value) or gain.value == 0:
        assert found.better is None
        assert not found.is_proven
        assert "better" not in found.text
        return
    said = SENTENCE.fullmatch(found.text)
    assert said is not None, found.text
    better, worse = ("the first", "the second") if gain.value > 0 else ("the second", "the first")
    assert (said["better"], said["worse"], found.better) == (better, worse, better)
    assert said["label"] == wording.label(metric)
    assert said["way"] == ("higher" if metrics.METRICS[metric].larger_is_better else "lower")
    size = parsed(said["size"])
    assert size > 0
    assert size == pytest.approx(abs(gain.value), rel=1.0)  # a digit at least
    if math.isnan(gain.low):
        assert SPAN.search(found.text) is None
        assert not found.is_proven
        return
    span = SPAN.fullmatch(said["about"])
    assert span is not None, found.text
    low, high = parsed(span["low"]), parsed(span["high"])
    opposite = gain.low > 0 > gain.value or gain.high < 0 < gain.value
    assert low <= size <= high or opposite
    assert ("but the interval says the opposite" in found.text) == opposite
    assert parsed(span["share"]) == 100 * confidence
    lowest = gain.low if gain.value > 0 else -gain.high
    assert found.is_proven == (lowest > 0) == (low > 0) == (said["unproven"] is None)


@settings(max_examples=200, deadline=None)
@given(metric=st.sampled_from(sorted(metrics.METRICS)), gain=gains(), name=st.sampled_from(RIVALS))
def test_every_verdict_agrees_with_the_comparison_in_it(metric: str, gain: Interval, name: str) -> None:
    first = wording.NAMES["tuned"]
    proven = wording.compare(metric, first, "x", gain, 100, 0.95).is_proven
    won, lost = proven and gain.value > 0, proven and gain.value < 0
    assert wording.is_worse(gain) == lost
    verdict = wording.verdict(metric, gain, 100, 0.95)
    assert verdict.startswith("Tuning helped") == won
    assert verdict.startswith("Tuning did harm") == lost
    against = wording.against(metric, first, name, gain, 100, 0.95)
    assert against.startswith("The network beats") == won
    assert against.startswith("A network is the wrong tool here") == lost
    harm = wording.harm_sentence(first, {metric: gain}, 0.95)
    assert (harm is not None) == lost
    constant = wording.no_better_than_constant(metric, first, gain, 100, 0.95)
    assert (constant is None) == (won or math.isnan(gain.low))
    for text in filter(None, (verdict, against, harm, constant)):
        if said := re.search(r"([a-z ]+) did better than ([a-z ]+?)(,| on these)", text):
            assert (said[1].strip() == first) == (gain.value > 0)
            assert (said[2] == first) == (gain.value < 0)


@pytest.mark.parametrize(
    ("metric", "gain", "text"),
    [
        (
            "rmse",
            Interval(-3599.2, -5000.0, -2100.4, 700.0, 1000),
            "Tuning did harm: the defaults did better than the tuned model, with RMSE lower by 3,599 "
            "(95 % interval 2,100 to 5,000). The search",
        ),
        (
            "roc_auc",
            Interval(0.045, 0.010, 0.082, 0.02, 1000),
            "Tuning helped: the tuned model did better than the defaults, with ROC AUC higher by 0.045 "
            "(95 % interval 0.010 to 0.082).",
        ),
        (
            "accuracy",
            Interval(0.02, -0.005, 0.04, 0.01, 1000),
            "No proof of a gain: the tuned model did better than the defaults on these 360 rows, but not beyond "
            "chance, with accuracy higher by 0.020 (95 % interval −0.005 to 0.040).",
        ),
        (
            "accuracy",
            Interval(0.0, 0.0, 0.0, 0.0, 1000),
            "Tuning changed nothing: the tuned model and the defaults have the same accuracy on these 360 rows.",
        ),
        (
            "accuracy",
            Interval(0.0, -0.01, 0.02, 0.01, 1000),
            "No proof of a gain: the tuned model and the defaults have the same accuracy on these 360 rows "
            "(95 % interval −0.010 to 0.020 in favour of the tuned model).",
        ),
        (
            "accuracy",
            Interval(0.1, math.nan, math.nan, math.nan, 0),
            "No proof of a gain: the tuned model did better than the defaults, with accuracy higher by 0.1000 "
            "(these rows give no interval).",
        ),
    ],
)
def test_a_verdict_claims_no_more_than_the_interval(metric: str, gain: Interval, text: str) -> None:
    assert wording.verdict(metric, gain, 360, 0.95).startswith(text)


def test_only_what_became_worse_beyond_doubt_is_called_harm() -> None:
    gains = {"f1": Interval(-0.04, -0.06, -0.02, 0.01, 1000), "recall": Interval(-0.04, -0.09, 0.01, 0.03, 1000)}
    assert wording.harm_sentence("the tuned model", gains, 0.95).startswith(
        "By other metrics tuning did harm: the defaults did better than the tuned model, "
        "with F1 higher by 0.040 (95 % interval 0.020 to 0.060). If"
    )
    assert wording.harm_sentence("the tuned model", {"recall": gains["recall"]}, 0.95) is None


@pytest.mark.parametrize(
    ("metric", "gain", "text"),
    [
        (
            "rmse",
            Interval(-0.14, -0.9, 0.5, 0.4, 100),
            "No better than a constant: a constant did better than the tuned model on these 39 rows, but not beyond "
            "chance, with RMSE lower by 0.1 (95 % interval −0.5 to 0.9). A constant predicts the mean of the "
            "training and validation rows, whatever the columns say.",
        ),
        (
            "mae",
            Interval(0.14, -0.5, 0.9, 0.4, 100),
            "No proof that it is better than a constant: the tuned model did better than a constant on these 39 rows, "
            "but not beyond chance, with MAE lower by 0.1 (95 % interval −0.5 to 0.9). A constant predicts the median",
        ),
        (
            "log_loss",
            Interval(-0.14, -0.2, -0.1, 0.4, 100),
            "No better than a constant: a constant did better than the tuned model, with log loss lower by 0.14 "
            "(95 % interval 0.10 to 0.20). A constant predicts each class by its share of the training and "
            "validation rows",
        ),
        (
            "accuracy",
            Interval(0.0, 0.0, 0.0, 0.0, 100),
            "No better than a constant: the tuned model and a constant have the same accuracy on these 39 rows. A "
            "constant predicts the commonest class of the training and validation rows, whatever",
        ),
        (
            "f1",
            Interval(-0.1, -0.2, -0.05, 0.0, 100),
            "No better than a constant: a constant did better than the tuned model, with F1 higher by 0.10 (95 % "
            "interval 0.05 to 0.20). A constant predicts one class for all rows, chosen by the training and validation",
        ),
    ],
)
def test_it_is_said_plainly_when_a_constant_does_as_well(metric: str, gain: Interval, text: str) -> None:
    assert wording.no_better_than_constant(metric, "the tuned model", gain, 39, 0.95).startswith(text)


@pytest.mark.parametrize(
    ("candidate", "text"),
    [
        (None, "no searched config beat them by more than its error."),
        (
            {"difference": 0.12, "error": 0.3, "n": 5, "n_failed": 0},
            "no searched config beat them by more than its error. In the replays the best searched config did better "
            "than the defaults, with RMSE lower by 0.1200 (standard error 0.3000).",
        ),
        (
            {"difference": -0.12, "error": None, "n": 3, "n_failed": 2},
            "2 of the 5 replays of the best searched config failed. In the replays the defaults did better than the "
            "best searched config, with RMSE lower by 0.1200 (these rows give no interval).",
        ),
        (
            {"difference": None, "error": None, "n": 0, "n_failed": 5},
            "5 of the 5 replays of the best searched config failed.",
        ),
    ],
)
def test_delivered_defaults_are_said_with_what_the_search_came_to(candidate: dict | None, text: str) -> None:
    winner = {"metric": "rmse", "n_rows": 100, "delivered": "defaults"}
    winner |= {} if candidate is None else {"candidate": candidate}
    assert wording.defaults_delivered(winner, 0.95) == f"The defaults are delivered: {text}"


@pytest.mark.parametrize(("temperature", "word"), [(0.7, "sharpened"), (1.4, "softened")])
def test_a_temperature_below_one_sharpens_and_one_above_softens(temperature: float, word: str) -> None:
    model = {"held_out": {}, "kind": "one", "networks": 1, "configs": 1, "times_one": 1.0, "threshold": None}
    model |= {"temperature": temperature, "calibration": {"log_loss": {"before": 0.4, "after": 0.3}}}
    assert f"Probabilities are {word} by a temperature of {temperature:.2f}" in wording.composed("accuracy", model)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"one": (1, 0.68), "seeds": (5, 0.68), "greedy": (5, 0.68)}, None),  # one replay: the same network thrice
        ({"one": (1, 0.68), "seeds": (5, 0.68)}, None),
        (
            {"one": (1, 0.68), "seeds": (5, 0.68), "greedy": (10, 0.71)},
            "an average over seeds 0.6800, a greedily chosen ensemble 0.7100.",
        ),
        (
            {"one": (1, 0.68), "seeds": (5, 0.70), "greedy": (5, 0.70)},
            "one network 0.6800, an average over seeds 0.7000.",
        ),
        (
            {"one": (1, 0.68), "seeds": (5, 0.70), "greedy": (10, 0.70)},
            "one network 0.6800, an average over seeds 0.7000, a greedily chosen ensemble 0.7000.",
        ),
    ],
)
def test_only_what_was_compared_is_said_of_held_out_rows(
    scores: dict[str, tuple[int, float]], said: str | None
) -> None:
    model = {"kind": "seeds", "networks": 5, "configs": 1, "times_one": 5.0, "threshold": None, "temperature": 1}
    held_out = {kind: {"networks": count, "value": value} for kind, (count, value) in scores.items()}
    text = wording.composed("roc_auc", {**model, "held_out": held_out})
    assert text.startswith("An average over seeds: 5 networks of 1 config, 5.0 times the work of one")
    assert text.partition(" On held-out rows, ROC AUC: ")[2] == (said or "")


def test_worse_calibration_than_the_defaults_is_said_where_it_is_beyond_chance() -> None:
    errors = {"tuned": 0.034, "defaults": 0.002}
    worse, doubtful = Interval(-0.032, -0.045, -0.02, 0.01, 100), Interval(-0.032, -0.045, 0.01, 0.01, 100)
    said = wording.calibration_sentence("the tuned model", errors, worse, 0.95)
    assert said == (
        "Probabilities are less reliable than the defaults': the defaults did better than the tuned model, with "
        "calibration error lower by 0.032 (95 % interval 0.020 to 0.045). The expected calibration error is 0.034 for "
        "the tuned model and 0.002 for the defaults."
    )
    assert wording.calibration_sentence("the tuned model", errors, doubtful, 0.95) is None


def test_a_gap_is_called_suspicious_only_beyond_chance() -> None:
    assert wording.gap_sentence("roc_auc", 0.95, 0.80, Gap(0.15, 0.03)).startswith("Suspicious: ROC AUC was 0.950")
    assert "within what chance explains (±0.030)" in wording.gap_sentence("accuracy", 0.95, 0.94, Gap(0.01, 0.03))
    assert wording.gap_sentence("rmse", 0.80, 0.95, Gap(0.15, math.nan)).endswith("do not say what chance explains.")
    assert "better by more than chance" in wording.gap_sentence("accuracy", 0.80, 0.95, Gap(-0.15, 0.03))


@pytest.mark.parametrize(
    ("name", "gain", "start"),
    [
        (
            "boosting",
            Interval(-7982.0, -15000.0, -1000.0, 10.0, 100),
            "A network is the wrong tool here: gradient boosting did better than the tuned model, with RMSE lower by "
            "7,982 (95 % interval 1,000 to 15,000). Use gradient boosting instead.",
        ),
        (
            "boosting_tuned",
            Interval(-7982.0, -17000.0, 1100.0, 10.0, 100),
            "No proof that the network beats tuned gradient boosting: tuned gradient boosting did better than the "
            "tuned model on these 200 rows, but not beyond chance, with RMSE lower by 7,982 (95 % interval "
            "−1,100 to 17,000).",
        ),
        (
            "linear",
            Interval(0.03, 0.01, 0.05, 0.01, 100),
            "The network beats a linear model: the tuned model did better than a linear model, with RMSE lower by "
            "0.030",
        ),
    ],
)
def test_it_is_said_plainly_when_a_rival_is_better(name: str, gain: Interval, start: str) -> None:
    assert wording.against("rmse", "the tuned model", name, gain, 200, 0.95).startswith(start)
