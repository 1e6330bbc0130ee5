"""Numbers and verdicts in words."""

import math

import pytest

from hone.evaluation.bootstrap import Interval
from hone.evaluation.gap import Gap
from tasks import wording


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


@pytest.mark.parametrize(
    ("gain", "start"),
    [
        (Interval(0.02, 0.005, 0.04, 0.01, 1000), "Tuning helped: accuracy is better than at the defaults by 0.020"),
        (
            Interval(-0.02, -0.04, -0.005, 0.01, 1000),
            "Tuning did harm: accuracy is worse than at the defaults by 0.020",
        ),
        (Interval(0.02, -0.005, 0.04, 0.01, 1000), "No proof of a gain: accuracy differs from the defaults' by +0.020"),
        (Interval(0.0, 0.0, 0.0, 0.0, 1000), "Tuning changed nothing"),
        (Interval(0.1, math.nan, math.nan, math.nan, 0), "The gain over the defaults is +0.1000"),
    ],
)
def test_a_verdict_claims_no_more_than_the_interval(gain: Interval, start: str) -> None:
    assert wording.verdict("accuracy", gain, 360, 0.95).startswith(start)


def test_only_what_became_worse_beyond_doubt_is_called_harm() -> None:
    gains = {"f1": Interval(-0.04, -0.06, -0.02, 0.01, 1000), "recall": Interval(-0.04, -0.09, 0.01, 0.03, 1000)}
    assert wording.harm_sentence(gains).startswith("By other metrics tuning did harm: F1 −0.040. If")
    assert wording.harm_sentence({"recall": gains["recall"]}) is None


def test_a_gap_is_called_suspicious_only_beyond_chance() -> None:
    assert wording.gap_sentence("roc_auc", 0.95, 0.80, Gap(0.15, 0.03)).startswith("Suspicious: ROC AUC was 0.950")
    assert "within what chance explains (±0.030)" in wording.gap_sentence("accuracy", 0.95, 0.94, Gap(0.01, 0.03))
    assert wording.gap_sentence("rmse", 0.80, 0.95, Gap(0.15, math.nan)).endswith("do not say what chance explains.")
    assert "better by more than chance" in wording.gap_sentence("accuracy", 0.80, 0.95, Gap(-0.15, 0.03))


@pytest.mark.parametrize(
    ("gain", "start"),
    [
        (
            Interval(-0.03, -0.05, -0.01, 0.01, 100),
            "A network is the wrong tool here: gradient boosting, tuned, fitted",
        ),
        (Interval(0.03, 0.01, 0.05, 0.01, 100), "The network beats gradient boosting, tuned, fitted to the same rows:"),
        (Interval(-0.01, -0.03, 0.01, 0.01, 100), "No proof that the network beats gradient boosting, tuned: accuracy"),
        (Interval(0.01, math.nan, math.nan, math.nan, 0), "The gain over gradient boosting, tuned is +0.0100"),
    ],
)
def test_it_is_said_plainly_when_boosting_is_better(gain: Interval, start: str) -> None:
    assert wording.against("accuracy", "boosting_tuned", gain, 200, 0.95).startswith(start)
