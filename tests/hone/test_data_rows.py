"""Fingerprints: equal for equal rows whatever type they came in, and different for all others."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hone.data import rows
from hone.data.rows import fingerprints

ROWS = pd.DataFrame({"count": [3, 4], "size": [0.5, 2.0], "town": ["Köln", "7"], "garden": [True, False]})
PINNED = [6624550995696299505, 17210147943538861243]
AS_OTHER_TYPES = {
    "floats": lambda rows: rows.astype({"count": "float64"}),
    "nullable": lambda rows: rows.convert_dtypes(),
    "text": lambda rows: rows.astype(str).astype(object),
    "categories": lambda rows: rows.astype("category"),
    "float texts": lambda rows: rows.assign(count=["3.0", "4.00"], size=["0.50", "2"]),
    "another order of columns": lambda rows: rows[rows.columns[::-1]],
    "another index": lambda rows: rows.set_axis([8, 8]),
    "blanks around": lambda rows: rows.assign(town=[" Köln", "7 "]),
}


@pytest.mark.parametrize("change", AS_OTHER_TYPES)
def test_a_row_is_the_same_whatever_type_it_came_in(change: str) -> None:
    assert fingerprints(AS_OTHER_TYPES[change](ROWS)).tolist() == PINNED


def test_fingerprints_are_the_same_in_any_process() -> None:
    script = "from tests.hone.test_data_rows import ROWS, fingerprints; print(fingerprints(ROWS).tolist())"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(PINNED)


def test_a_row_with_a_gap_is_the_same_in_a_table_without_the_others() -> None:
    rows = pd.DataFrame({"a": [1, 2**60], "b": ["x", "y"]})
    gap = pd.concat([rows, pd.DataFrame({"a": [None], "b": [" "]}, dtype=object).astype({"a": "float64"})])
    assert fingerprints(gap)[:2].tolist() == fingerprints(rows).tolist()
    alone = pd.DataFrame({"a": [None], "b": [np.nan]}, dtype=object)
    assert fingerprints(alone)[0] == fingerprints(gap)[2]


def test_rows_that_differ_anywhere_have_other_fingerprints() -> None:
    cells = ["", "a", "b", "ab", ",", '"', "None", "null", "0", "0.1", "1e-9", "inf", "nan"]
    rows = pd.DataFrame([(first, second) for first in cells for second in cells], columns=["x", "y"], dtype=object)
    found = fingerprints(rows)
    assert found.dtype == np.uint64
    assert len(np.unique(found)) == len(rows)


def test_many_rows_are_hashed_piece_by_piece_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.concat([ROWS] * 5)
    monkeypatch.setattr(rows, "PIECE", 3)
    assert fingerprints(frame).tolist() == PINNED * 5


def test_no_rows_have_no_fingerprints() -> None:
    assert fingerprints(ROWS.head(0)).shape == (0,)
