"""The table at the end of a run."""

import json
from pathlib import Path

import pytest

from hone import metrics
from tasks import summary, wording
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
    assert "The report has" not in shown  # both metrics are in the table


@pytest.mark.parametrize(
    ("n_metrics", "convention", "said"),
    [
        (wording.SHOWN, "ROC AUC is that of 'yes'.", "ROC AUC is that of 'yes'."),
        (wording.SHOWN + 1, "ROC AUC is that of 'yes'.", "ROC AUC is that of 'yes'. The report has 1 more metric."),
        (wording.SHOWN + 3, None, "The report has 3 more metrics."),
    ],
)
def test_metrics_that_the_table_leaves_out_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], n_metrics: int, convention: str | None, said: str
) -> None:
    write(tmp_path, n_metrics, convention)
    summary.show(tmp_path, PlainReporter())
    assert f"\n{said}\n{wording.NEXT}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("counts", "said"),
    [((1, 1), "networks: one replay each"), ((3, 2), "networks: mean of replays, all at one epoch")],
)
def test_one_replay_is_not_called_a_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], counts: tuple[int, int], said: str
) -> None:
    write(tmp_path, 1, None)
    default, tuned = ({"n": n, "value": 0.9, "std": 0.0} for n in counts)
    for name, content in ((summary.WINNER, {"default": default, **tuned, "edges": []}), (summary.BASELINE, {})):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(json.dumps(content))
    summary.show(tmp_path, PlainReporter())
    assert f"Validation rows, ROC AUC; {said}\n" in capsys.readouterr().out


def write(root: Path, n_metrics: int, convention: str | None) -> None:
    """Write what `evaluate` found, with so many metrics."""
    names = ["roc_auc", *(name for name in metrics.METRICS if name != "roc_auc")][:n_metrics]
    found = {
        "metric": "roc_auc",
        "confidence": 0.9,
        "convention": convention,
        "tuned": dict.fromkeys(names, 0.9),
        "intervals": {"tuned": {}, "defaults": {}, "gain": {}},
        "n_rows": 1200,
        "findings": [{"severity": "info", "message": "Tuning helped."}],
        "per_class": [],
    }
    (root / summary.EVALUATION).parent.mkdir(parents=True)
    (root / summary.EVALUATION).write_text(json.dumps(found))
