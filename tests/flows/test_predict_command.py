"""`hone predict`: where predictions go, whose they are, and what is refused."""

from pathlib import Path

import pandas as pd
import pytest

from flows import cli
from flows.predict import MODEL, predict
from hone.errors import UserError
from tasks import model_store
from tasks.reporting import NullReporter
from tests.tasks import small_model
from tests.tasks.small_model import raw_rows


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "rows.csv"
    path.parent.mkdir()
    raw_rows(1).to_csv(path, index=False)
    return path


def test_the_tuned_model_predicts_into_the_current_folder(
    project: Path, table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_model.write(project / MODEL, "binary")
    here = project / "tables"
    here.mkdir()
    monkeypatch.chdir(here)
    assert cli.main(["predict", str(table), "--keep", "zip"]) == 0
    assert [path.name for path in table.parent.iterdir()] == ["rows.csv"]
    found = pd.read_csv(here / "rows.predictions.csv", dtype={"zip": str})
    expected = model_store.load(project / MODEL).predict(pd.read_csv(table, dtype={"zip": str}))
    assert list(found) == ["zip", *expected]
    pd.testing.assert_frame_equal(found[[*expected]], expected, check_exact=True, check_dtype=False)
    assert "rows.predictions.csv: predictions of 'left' for 80 rows" in capsys.readouterr().out.replace("\n", "")


def test_a_model_may_be_a_folder_anywhere(project: Path, table: Path, tmp_path: Path) -> None:
    folder = small_model.write(tmp_path / "other", "regression")
    place = predict(project, table, tmp_path / "out.parquet", str(folder), (), NullReporter())
    assert list(pd.read_parquet(place)) == ["prediction"]


def test_nothing_is_lost_by_asking_twice(project: Path, table: Path, tmp_path: Path) -> None:
    small_model.write(project / MODEL, "binary")
    for out in (project / "rows.predictions.csv", table):
        out.touch()
        before = out.read_bytes()
        with pytest.raises(UserError, match="--out"):
            predict(project, table, out, None, (), NullReporter())
        assert out.read_bytes() == before
    predict(project, table, None, None, (), NullReporter(), overwrite=True)
    assert len(pd.read_csv(project / "rows.predictions.csv")) == 80


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, "there is no model"),
        ("models:/hone", "write models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/hone@champion", "tracking is off"),
        ("hone@champion", "such as models:/hone@champion"),
    ],
)
def test_a_model_that_is_not_there_is_one_line(
    project: Path, table: Path, model: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["predict", str(table), *(["--model", model] if model else [])]) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")
    assert [path.name for path in table.parent.iterdir()] == ["rows.csv"]


def test_predictions_made_among_the_data_go_elsewhere(
    project: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_model.write(project / MODEL, "binary")
    place = project / "data" / "raw" / "rows.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(table.read_bytes())
    before = sorted(place.parent.iterdir())
    monkeypatch.chdir(place.parent)
    found = predict(project, place, None, None, (), NullReporter())
    assert found == project / "rows.predictions.csv"
    assert sorted(place.parent.iterdir()) == before  # or the split would be stale
