"""The first difference in words, and what is near enough on another processor."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hone.trial import Result, State, Trial
from tasks import comparison

NAN = float("nan")


def result(number: int, curve: tuple[float, ...] = (0.5, NAN, 0.25), **config: Any) -> Result:
    trial = Trial(study="search_random", number=number, generation=0, config={"rate": 0.1, **config}, resource=3)
    return Result(trial=trial, state=State.COMPLETE, objective=0.25, curve=curve)


RECORDED = [result(0), result(1), result(2)]


def test_equal_trials_do_not_differ_though_nan_is_no_number() -> None:
    assert comparison.trials_differ(RECORDED, [result(0), result(1), result(2)]) is None


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([result(0), result(1, rate=0.2), result(2)], "0001: its config differs: rate 0.1 recorded, 0.2 here"),
        ([result(0), result(1, depth=2), result(2)], "0001: its config differs: depth None recorded, 2 here"),
        ([result(0), result(1), result(2, (0.5, NAN, 0.26))], "0002: its curve differs from epoch 3 on: 0.25 recorded"),
        ([result(0, (0.5, NAN)), result(1), result(2)], "0000: its curve differs: 3 epochs recorded, 2 here"),
        ([result(0), replace(result(1), cost=1.0), result(2)], "0001: its cost differs: 0.0 recorded, 1.0 here"),
        ([result(0), result(1)], "3 trials were recorded, and 2 made"),
        ([result(0), result(2), result(1)], "trial search_random-0002 stands where search_random-0001 was recorded"),
    ],
)
def test_the_first_trial_that_differs_is_named_and_how(made: list[Result], said: str) -> None:
    assert said in str(comparison.trials_differ(RECORDED, made))


def test_of_a_record_of_configs_and_curves_nothing_else_is_compared() -> None:
    made = [result(0), replace(result(1), cost=1.0), result(2, (0.5, NAN, 0.26))]
    assert "0002: its curve" in str(comparison.trials_differ(RECORDED, made, whole=False))


@pytest.mark.parametrize(
    ("recorded", "made", "said"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}, None),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b[1]: 2 recorded, 3 here"),
        ({"a": 1}, {}, "a is missing here"),
        ({"a": 1}, {"a": 1, "b": 2}, "b is not recorded"),
        ({"a": None}, {"a": "x"}, "a: null recorded, x here"),
    ],
)
def test_the_first_value_that_differs_is_named(recorded: Any, made: Any, said: str | None) -> None:
    assert comparison.json_differs(recorded, made) == said


def test_the_first_file_of_a_folder_that_differs_is_named() -> None:
    assert comparison.listing_differs({"a": "1", "b": "2"}, {"a": "1", "b": "3"}) == "b has other bytes"
    assert comparison.listing_differs({"a": "1", "b": "2"}, {"a": "1"}) == "b is missing here"
    assert comparison.listing_differs({"a": "1"}, {"a": "1"}) is None


def metrics(tuned: float, boosting: float) -> dict[str, Any]:
    return {
        "tuned": {"accuracy": tuned, "roc_auc": None},
        "boosting": {"accuracy": boosting},
        "gain": {"accuracy": 0.01},
        "intervals": {
            "tuned": {"accuracy": [tuned - 0.02, tuned + 0.02], "roc_auc": [None, None]},
            "boosting": {"accuracy": [boosting - 0.1, boosting + 0.1]},
            "gain": {"accuracy": [0, 1]},
        },
    }


@pytest.mark.parametrize(
    ("change", "outside"),
    [
        (lambda m: None, []),
        (lambda m: m["tuned"].update(accuracy=0.919), []),
        (lambda m: m["tuned"].update(accuracy=0.921), ["tuned accuracy"]),
        (lambda m: m["intervals"]["tuned"].update(accuracy=[0.91, 0.93]), ["tuned accuracy"]),  # one way round only
        (lambda m: m["tuned"].update(roc_auc=0.9), ["tuned roc_auc"]),
        (lambda m: m["boosting"].update(accuracy=0.808), []),
        (lambda m: m["boosting"].update(accuracy=0.8082), ["boosting accuracy"]),
        (lambda m: (m.pop("boosting"), m["intervals"].pop("boosting")), ["boosting accuracy"]),
    ],
)
def test_networks_must_lie_in_each_others_intervals_and_what_trains_none_within_a_hundredth(
    change: Callable[[dict[str, Any]], object], outside: list[str]
) -> None:
    made = metrics(0.9, 0.8)
    change(made)
    near = comparison.nearness(metrics(0.9, 0.8), made)
    assert {one.model for one in near} == {"tuned", "boosting"}
    assert [f"{one.model} {one.metric}" for one in near if not one.within] == outside
    swapped = comparison.nearness(made, metrics(0.9, 0.8))
    assert [f"{one.model} {one.metric}" for one in swapped if not one.within] == outside


@pytest.mark.parametrize(
    ("recorded", "made", "said"),
    [
        ("a\nb\n", "a\nb\n", None),
        ("a\nb\n", "a\nc\n", "line 2: b recorded, c here"),
        ("a\nb\n", "a\n", "2 lines recorded, 1 here"),
    ],
)
def test_the_first_line_that_differs_is_named(recorded: str, made: str, said: str | None, tmp_path: Path) -> None:
    for name, text in (("recorded", recorded), ("made", made)):
        (tmp_path / name).write_text(text)
    assert comparison.first_line_differs(tmp_path / "recorded", tmp_path / "made") == said
