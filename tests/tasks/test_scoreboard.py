"""Tables of what the sealed rows say fit into a terminal, whatever the metrics are called and worth."""

from typing import Any

import pytest

from hone import metrics
from tasks import scoreboard
from tasks.reporting import plain_table
from tasks.wording import RIVALS

VALUES = {
    "binary": (0.87654, (0.87123, 0.88234), -0.01234, (-0.02345, -0.00123)),
    "regression": (123_456.7, (101_234.5, 145_678.9), -12_345.6, (-34_567.8, 23_456.7)),
}


def evaluation(task: str, n_classes: int = 2) -> dict[str, Any]:
    """Return an evaluation with long numbers of every metric that fits the task."""
    value, bounds, gain, gained = VALUES[task]
    names = [name for name, metric in metrics.METRICS.items() if task in metric.tasks]
    models = ("tuned", "defaults", *RIVALS)
    gains = ("gain", *(f"gain_over_{name}" for name in RIVALS))
    return {
        "metric": "average_precision" if task == "binary" else "rmse",
        "confidence": 0.999,
        "n_rows": 1_234_567,
        "delivered": "defaults",
        **{model: dict.fromkeys(names, value) for model in models},
        **{part: dict.fromkeys(names, gain) for part in gains},
        "intervals": {
            **{model: dict.fromkeys(names, bounds) for model in models},
            **{part: dict.fromkeys(names, gained) for part in gains},
        },
        "per_class": [
            {"class": f"{number} {60 * 'x'}", "precision": 0.5, "recall": 0.25, "f1": 0.33333, "support": number}
            for number in range(n_classes)
        ]
        if task == "binary"
        else [],
    }


@pytest.mark.parametrize("task", VALUES)
def test_tables_of_long_names_and_numbers_fit_into_80_columns(task: str) -> None:
    found = evaluation(task)
    tables = [scoreboard.by_metric(found), scoreboard.rivals(found), scoreboard.by_class(found)]
    assert [table is None for table in tables] == [False, False, task == "regression"]
    for table in filter(None, tables):
        for line in plain_table(table.title, table.columns, table.rows).splitlines():
            assert len(line) <= 80, line


def test_of_many_classes_the_commonest_are_shown_in_their_own_order() -> None:
    found = evaluation("binary", n_classes=26)
    table = scoreboard.by_class(found)
    assert table is not None
    assert table.title == "Sealed test rows by class (the 10 commonest of 26)"
    assert [row[-1] for row in table.rows] == [str(number) for number in range(16, 26)]
    whole = scoreboard.by_class(found, most=None)
    assert whole is not None
    assert len(whole.rows) == 26
    assert whole.rows[0][1:] == ("0.500", "0.250", "0.333", "0")


def test_a_rival_that_could_not_be_fitted_has_no_row() -> None:
    found = evaluation("regression")
    for name in ("linear", "boosting_tuned"):
        del found[name]
    table = scoreboard.rivals(found)
    assert table is not None
    assert [row[0] for row in table.rows] == ["constant", "boosting"]
    for name in ("constant", "boosting"):
        del found[name]
    assert scoreboard.rivals(found) is None
