"""Numbers with commas: read as their whole column says, never by a guess from a single cell alone."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hone.data import header, numerals
from hone.data.numerals import Evidence


def evidence(*columns):
    found = {}
    for place, cells in enumerate(columns):
        found[place] = Evidence()
        found[place].add(pd.Series(cells, dtype="str"))
    return found


def marks(delimiter, *columns):
    return {
        place: (reading.mark, reading.certain)
        for place, reading in numerals.readings(evidence(*columns), delimiter).items()
    }


@pytest.mark.parametrize(
    ("delimiter", "columns", "expected"),
    [
        (";", [["3,14", "2,5", None]], {0: ("comma", True)}),
        (";", [["1.234,56", "7"]], {0: ("comma", True)}),
        (";", [["1,234", "2,500"]], {0: ("comma", False)}),  # thousands are as good a reading
        (";", [["1,234", "2,500"], ["3,14", "1,5"]], {0: ("comma", True), 1: ("comma", True)}),
        (";", [["1,234", "2,500"], ["3.14", "1.5"]], {0: ("point", True)}),
        (";", [["1.234", "999"], ["3,14", "1,5"]], {0: ("comma", False), 1: ("comma", True)}),  # or an ordinary float
        (";", [["1.234", "999"]], {}),  # an ordinary float
        (",", [["1,234.50", "2,500"]], {0: ("point", True)}),
        (",", [["1,234,567", "12"]], {0: ("point", True)}),
        (",", [["1,234", "2,500"]], {0: ("point", False)}),
        (",", [["3,14", "2,5"]], {0: ("comma", False)}),
        (";", [["3,14", "2.5"]], {}),  # both: text
        (";", [["007,5", "3,1"]], {}),  # a code
        (";", [["1,2,3", "3,1"]], {}),
        (";", [["a,b", "c,d", "e,f", "g,h", "3,1"]], {}),
    ],
)
def test_the_mark_of_a_column_is_told_by_the_column_the_file_and_the_delimiter(delimiter, columns, expected):
    assert marks(delimiter, *columns) == expected


def test_a_few_odd_words_stay_and_the_numbers_around_them_are_written_plainly():
    cells = ["3,5"] * 40 + ["k.A."]
    assert marks(";", cells) == {0: ("comma", True)}
    assert numerals.read(pd.Series(cells, dtype="str"), "comma").tolist() == ["3.5"] * 40 + ["k.A."]


def test_both_marks_in_a_column_are_told():
    assert numerals.mixed(evidence(["3,14", "2.5"], ["3,14", "2"])) == {0: ("3,14", "2.5")}


@given(st.lists(st.floats(-1e12, 1e12), min_size=2, max_size=9), st.booleans())
def test_a_column_written_with_commas_is_read_as_what_was_written(values, grouped):
    values = [round(value, 2) for value in values] + [0.5]
    text = [f"{value:,.2f}" if grouped else f"{value:.2f}" for value in values]
    swapped = [cell.translate(str.maketrans(",.", ".,")) for cell in text]
    reading = numerals.readings(evidence(swapped), ";")[0]
    assert reading.mark == "comma"
    assert numerals.read(pd.Series(swapped, dtype="str"), "comma").tolist() == values


@pytest.mark.parametrize(
    ("text", "is_row"),
    [
        ("5.1,3.5,1.4,0.2,setosa\n4.9,3.0,1.4,0.2,setosa\n6.3,2.8,5.1,1.5,virginica", True),
        ("1,1,0,no\n2,5,1,yes\n3,4,1,no", True),
        ("p,x,s,p\ne,x,s,p\np,x,y,p\np,b,s,e", True),
        ("john,34\nmary,28\njohn,31", True),
        ("name,age\njohn,34\nmary,28", False),
        ("country,1990,1995,2020\nA,1,2,3\nB,2,3,4", False),
        ("country,2020,2019,2018\nA,1,2,3\nB,2,3,4", False),
        ("label,4000.1,3998.2,3996.2\nA,1,2,3\nB,2,3,4\nA,1,3,4\nB,2,5,5", False),
        ("id,4000.1,3998.2,3996.2\nA,1,2,3\nB,2,3,4", False),
        ("cls,0,1,10,2\nA,1,2,3,4\nB,2,3,4,5\nA,3,2,1,1\nA,3,2,1,1", False),
        ("5.1,3.5,1.4,0.2\n4.9,3.0,1.4,0.2\n6.3,2.8,5.1,1.5", True),
        (",0,1,2\n0,1,2,3\n1,2,3,4", False),
        ("0,1,2,y\n3,2,1,0\n3,1,1,1", False),
        ("a,b\n1,x\n2,y\na,b\n3,z", False),
        ("a,a\n1,2\n3,4", False),
        ("yes,no\nyes,yes\nno,yes", False),
        ("x\n1\n2", False),
    ],
)
def test_a_first_row_of_data_is_told_from_a_header(text, is_row):
    names, *rows = [line.split(",") for line in text.split("\n")]
    assert header.is_row(names, rows) is is_row
