"""The table at the end of a run."""

import json
from pathlib import Path

import pytest

from tasks import summary
from tasks.reporting import PlainReporter


def test_nothing_to_show_before_evaluate_has_run(tmp_path: Path) -> None:
    assert summary.read(tmp_path) is None


def test_the_tuned_metric_comes_first_and_missing_defaults_are_dashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "artifacts" / "evaluate").mkdir(parents=True)
    found = {
        "metric": "roc_auc",
        "confidence": 0.9,
        "convention": "ROC AUC is that of 'yes'.",
        "delivered": "tuned",
        "tuned": {"accuracy": 0.91, "roc_auc": 0.95},
        "intervals": {"tuned": {"accuracy": [0.88, 0.94], "roc_auc": [0.93, 0.97]}, "defaults": {}, "gain": {}},
        "n_rows": 1200,
        "findings": [
            {"severity": "info", "message": "Tuning helped."},
            {"severity": "warning", "message": "Few rows."},
        ],
        "per_class": [
            {"class": f"class {i}", "precision": 0.5, "recall": 0.25, "f1": i / 12, "support": 1000 + i}
            for i in range(12)
        ],
    }
    (tmp_path / summary.EVALUATION).write_text(json.dumps(found))
    table = summary.read(tmp_path)
    assert table is not None
    assert table.title == "Sealed test rows (1,200), 90 % intervals; a positive gain is better"
    assert [(row[0], row[1], row[3]) for row in table.rows] == [("ROC AUC", "–", "–"), ("accuracy", "–", "–")]
    assert [row[2].split(" ")[0] for row in table.rows] == ["0.950", "0.910"]
    summary.show(tmp_path, PlainReporter())
    shown = capsys.readouterr().out
    warning, verdict, last, convention, where = (
        shown.index(text)
        for text in (
            "\nwarning: Few rows.\n",
            "\nTuning helped.\n",
            "\nSealed test rows (1,200)",
            "\nROC AUC is that of 'yes'.\n",
            "`hone ui`",
        )
    )
    assert shown.index("class 9") < warning < verdict < last < convention < where
    assert "the 10 commonest of 12" in shown
    assert "class 1 " not in shown
