"""Predictions of a file, piece by piece: those of the whole table, to the bit, in little memory."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hone.errors import UserError
from hone.training.predict import predict as predict_network
from tasks import model_store, predict, tables
from tests.tasks import small_model
from tests.tasks.small_model import TARGETS, raw_rows

ODD = pd.concat([raw_rows(seed) for seed in range(4)], ignore_index=True)
ODD = ODD.assign(rooms=[*ODD["rooms"][:200], None, *ODD["rooms"][201:]], charge=["1.50"] * 150 + ["free"] * 170)
"""Rows of which some pieces look otherwise than the whole: gaps and words come late."""


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "CELLS", 1)
    monkeypatch.setattr(predict, "BATCH", 64)
    monkeypatch.setattr(predict_network, "__defaults__", (64,))


def write(folder: Path, frame: pd.DataFrame, ending: str) -> Path:
    path = folder / f"rows.{ending}"
    if ending == "parquet":
        frame.to_parquet(path, row_group_size=50)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("task", TARGETS)
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_pieces_are_predicted_as_the_whole_to_the_bit(
    tmp_path: Path, task: str, ending: str, small_pieces: None
) -> None:
    model = model_store.load(small_model.write(tmp_path / "model", task))
    table = write(tmp_path, ODD, ending)
    assert len(list(tables.read_pieces(table, predict.piece_rows(9)))) == 5
    whole = tables.read_table(table)
    for out in (tmp_path / "out.csv", tmp_path / "out.parquet"):
        assert predict.predict(model, table, out, ["zip"]) == len(ODD)
        found = pd.read_parquet(out) if out.suffix == ".parquet" else tables.read_table(out)
        expected = pd.concat([whole[["zip"]], model.predict(whole)], axis=1)
        pd.testing.assert_frame_equal(found, expected, check_exact=True, check_dtype=False)


def test_a_file_with_an_index_is_predicted_as_one_without(tmp_path: Path, small_pieces: None) -> None:
    model = model_store.load(small_model.write(tmp_path / "model", "binary"))
    shuffled = ODD.sample(frac=1, random_state=0)
    predict.predict(model, write(tmp_path, shuffled.reset_index(drop=True), "parquet"), tmp_path / "plain.csv", ["zip"])
    for indexed in (shuffled, shuffled.rename_axis("row")):
        predict.predict(model, write(tmp_path, indexed, "parquet"), tmp_path / "out.csv", ["zip"])
        assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_of_one_piece_and_one_of_whole_pieces(tmp_path: Path, ending: str, small_pieces: None) -> None:
    model = model_store.load(small_model.write(tmp_path / "model", "binary"))
    for n in (1, 64, 128):
        out = tmp_path / "out.csv"
        assert predict.predict(model, write(tmp_path, ODD.head(n), ending), out) == n == len(pd.read_csv(out))


def test_columns_are_kept_as_the_file_has_them_whatever_a_piece_looks_like(tmp_path: Path, small_pieces: None) -> None:
    model = model_store.load(small_model.write(tmp_path / "model", "binary"))
    ids = [None] * 70 + [str(number) for number in range(100)] + ["x"] + ["7"] * 149
    table = write(tmp_path, ODD.assign(id=ids), "csv")
    for out in (tmp_path / "out.csv", tmp_path / "out.parquet"):
        predict.predict(model, table, out, ["id", "id"])
        found = pd.read_parquet(out) if out.suffix == ".parquet" else pd.read_csv(out, dtype={"id": str})
        assert found["id"].fillna("").tolist() == [each or "" for each in ids]


def test_a_broken_line_is_named_and_nothing_is_written(tmp_path: Path, small_pieces: None) -> None:
    model = model_store.load(small_model.write(tmp_path / "model", "binary"))
    table = write(tmp_path, ODD, "csv")
    lines = table.read_text().splitlines()
    for name, content in (("t.csv", "\n".join(lines)), ("t.csv.gz", "\n".join(lines))):
        text = content.replace(lines[300], lines[300] + ",1").encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
        with pytest.raises(UserError, match=rf"{name}, line 301 has 11 fields, but the header has 10") as error:
            predict.predict(model, tmp_path / name, tmp_path / "out.csv")
        assert "data.source" not in str(error.value)
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(
    ("keep", "out", "message"),
    [
        (["zipp"], "out.csv", r"--keep: .*zipp"),
        (["prediction"], "out.csv", "'prediction' is what a column of predictions is called"),
        ([], "out.xlsx", "predictions are written as .csv or .parquet"),
    ],
)
def test_what_cannot_be_written_is_said(tmp_path: Path, keep: list[str], out: str, message: str) -> None:
    model = model_store.load(small_model.write(tmp_path / "model", "binary"))
    table = write(tmp_path, ODD.assign(prediction=1), "csv")
    with pytest.raises(UserError, match=message):
        predict.predict(model, table, tmp_path / out, keep)
    assert not list(tmp_path.glob("*out*"))


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """48 MB of rows, whose table alone would take more than is allowed."""
    small_model.write(tmp_path / "model", "regression")
    text = raw_rows().to_csv(index=False)
    header, rows = text.split("\n", 1)
    (tmp_path / "few.csv").write_text(f"{header}\n{rows}")
    (tmp_path / "many.csv").write_text(f"{header}\n{rows * (48_000_000 // len(rows))}")
    script = """
import resource, sys
from pathlib import Path
from tasks import model_store, predict
predict.CELLS = 1 << 17
model = model_store.load(Path("model"))
peaks = []
for name in ("few", "many"):
    n = predict.predict(model, Path(f"{name}.csv"), Path("out.csv"))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(n, peaks[1] - peaks[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", "PATH": ""},
    )  # fmt: skip
    n, growth = done.stdout.split()
    assert int(n) > 500_000
    assert float(growth) < 40
    assert np.isfinite(pd.read_csv(tmp_path / "out.csv")["prediction"]).all()


def test_a_level_called_na_is_the_level_that_it_was_in_training(tmp_path: Path, small_pieces: None) -> None:
    rows = small_model.raw_rows()
    column = next(c.name for c in small_model.fitted("binary")[0].schema.columns if c.kind == "categorical")
    first = rows[column].dropna().iloc[0]
    renamed = rows.assign(**{column: rows[column].replace({first: "NA"})})
    assert "NA" in set(renamed[column])
    model = model_store.load(small_model.write(tmp_path / "model", "binary", rows=renamed))
    table = write(tmp_path, renamed, "csv")
    predict.predict(model, table, tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(found, model.predict(renamed).reset_index(drop=True), check_dtype=False)
    assert not found.equals(model.predict(renamed.assign(**{column: renamed[column].replace({"NA": None})})))
