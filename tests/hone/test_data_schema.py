"""What a column is taken for, and how it is read afterwards."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from hone.data import schema as schemas
from hone.data.schema import Schema
from hone.errors import UserError

N = 40
RANDOM = np.random.default_rng(0)
MOMENTS = pd.date_range("2021-01-30", periods=N, freq="36h")


def holed(values):
    values = list(values)
    values[3] = None
    return values


COLUMNS = {
    "floats": (RANDOM.normal(size=N), "numeric"),
    "ints": (RANDOM.integers(0, 9, N), "numeric"),
    "nullable_ints": (pd.array(holed(range(N)), dtype="Int64"), "numeric"),
    "arrow_ints": (pd.array(holed(range(N)), dtype="int64[pyarrow]"), "numeric"),
    "big_ints": (np.arange(N) * 2**55, "numeric"),
    "huge_ints": ([2**70 + 2**60 * i for i in range(N)], "numeric"),
    "decimals": ([decimal.Decimal(i) / 7 for i in range(N)], "numeric"),
    "durations": (pd.to_timedelta(range(N), unit="h"), "numeric"),
    "text_numbers": ([f" {i}.5" if i % 9 else "  " for i in range(N)], "numeric"),
    "odd_word": ([str(i) if i != 7 else "?" for i in range(N)], "numeric"),
    "codes": ([f"{i % 3:03d}" for i in range(N)], "categorical"),
    "text": (["a", "b", " a", "", None] * (N // 5), "categorical"),
    "strings": (pd.array(["a", "b", " a", "", None] * (N // 5), dtype="string"), "categorical"),
    "yes_no": (["yes", "no"] * (N // 2), "categorical"),
    "category": (pd.Categorical([1, 2] * (N // 2)), "categorical"),
    "bools": ([True, False] * (N // 2), "boolean"),
    "holed_bools": (holed([True, False] * (N // 2)), "boolean"),
    "nullable_bools": (pd.array(holed([True, False] * (N // 2)), dtype="boolean"), "boolean"),
    "text_bools": (["True", "false"] * (N // 2), "boolean"),
    "moments": (MOMENTS, "date"),
    "zoned": (MOMENTS.tz_localize("Europe/Berlin"), "date"),
    "dates": ([moment.date() for moment in MOMENTS], "date"),
    "text_dates": (holed(MOMENTS.strftime("%Y-%m-%d")), "date"),
    "text_moments": (MOMENTS.strftime("%Y-%m-%dT%H:%M:%SZ"), "date"),
    "once_beside_missing": ([5.0] + [None] * (N - 1), "categorical"),
    "constant": (["x"] * N, "dropped"),
    "constant_number": ([1] * N, "dropped"),
    "empty": ([None] * N, "dropped"),
    "blank": ([" "] * N, "dropped"),
    "ids": ([f"row {i}" for i in range(N)], "dropped"),
    "lists": ([[i] for i in range(N)], "dropped"),
}


def table():
    return pd.DataFrame({name: pd.Series(values) for name, (values, _) in COLUMNS.items()}).assign(y=range(N))


@pytest.mark.parametrize("name", COLUMNS)
def test_the_kind_of_a_column_follows_from_its_values(name):
    frame = table()[[name, "floats", "y"]].loc[:, lambda frame: ~frame.columns.duplicated()]
    column = next(column for column in schemas.infer(frame, "y").columns if column.name == name)
    assert column.kind == COLUMNS[name][1], column.reason
    assert column.reason


def test_a_table_of_every_kind_is_read_as_numbers_and_levels():
    frame = table()
    schema = schemas.infer(frame, "y")
    numeric, categorical = schema.apply(frame)
    assert tuple(numeric.columns) == schema.numeric_names
    assert tuple(categorical.columns) == schema.categorical_names
    assert (numeric.dtypes == np.float64).all()
    assert not np.isinf(numeric.to_numpy()).any()
    assert {type(cell) for cell in categorical.to_numpy().ravel()} == {str, type(None)}
    assert numeric["text_numbers"].isna().sum() == 5
    assert numeric["durations"].iloc[2] == 7200.0
    assert numeric["huge_ints"].iloc[1] == 2**70 + 2**60
    assert numeric["decimals"].iloc[3] == pytest.approx(3 / 7)
    assert categorical["text"].tolist()[:5] == ["a", "b", "a", None, None]
    assert categorical["strings"].tolist() == categorical["text"].tolist()


@pytest.mark.parametrize("name", ["moments", "zoned", "dates", "text_dates", "text_moments"])
def test_a_date_is_read_as_days_and_the_parts_that_vary(name):
    frame = table()
    schema = schemas.infer(frame[[name, "y"]], "y")
    numeric, _ = schema.apply(frame)
    column = schema.columns[0]
    assert column.parts[0] == "days"
    assert "year" not in column.parts  # all in 2021
    assert {"month", "weekday"} <= set(column.parts)
    if name == "moments":
        days = (datetime.datetime(2021, 1, 30) - datetime.datetime(1970, 1, 1)).days
        assert numeric.iloc[1].to_dict() == {
            "moments.days": days + 1.5, "moments.month": 1, "moments.weekday": 6, "moments.hour": 12
        }  # fmt: skip
    if name == "text_dates":
        assert numeric.iloc[3].isna().all()


def test_a_schema_survives_json():
    schema = schemas.infer(table(), "y")
    assert Schema.from_json(schema.to_json()) == schema


@pytest.mark.parametrize(
    ("name", "kind", "levels"),
    [
        ("ints", "categorical", tuple(map(str, range(9)))),
        ("nullable_ints", "numeric", ()),
        ("yes_no", "boolean", ("false", "true")),
        ("ids", "categorical", None),
        ("text_dates", "date", ()),
    ],
)
def test_a_kind_can_be_set(name, kind, levels):
    column = schemas.infer(table()[[name, "y"]], "y", kinds={name: kind}).columns[0]
    assert column.kind == kind
    if levels is not None:
        assert column.levels == levels


def test_numbered_categories_are_the_same_levels_whatever_their_type():
    schema = schemas.infer(pd.DataFrame({"code": [1, 2, 3] * 4, "y": range(12)}), "y", kinds={"code": "categorical"})
    for values in ([1, 2, 3], [1.0, 2.0, 3.0], ["1", "2", " 3"], pd.array([1, 2, 3], dtype="Int64")):
        _, levels = schema.apply(pd.DataFrame({"code": values}))
        assert levels["code"].tolist() == ["1", "2", "3"]


def test_dates_of_another_pattern_are_read_alike_later():
    frame = pd.DataFrame({"when": [f"{day}/02/2021" for day in range(13, 28)], "y": range(15)})
    schema = schemas.infer(frame, "y", kinds={"when": "date"})
    numeric, _ = schema.apply(pd.DataFrame({"when": ["03/02/2021", "nonsense"]}))
    assert numeric["when.days"].iloc[0] == 18661  # 3 February, though the text alone could mean 2 March
    assert np.isnan(numeric["when.days"].iloc[1])


def test_values_that_appear_later_are_missing_where_they_cannot_be_read():
    schema = schemas.infer(table(), "y")
    later = table().head(4).astype({"floats": object, "ints": float})
    later.loc[0, "floats"] = "text"
    later.loc[1, "ints"] = np.inf
    numeric, _ = schema.apply(later)
    assert np.isnan(numeric.loc[0, "floats"])
    assert np.isnan(numeric.loc[1, "ints"])


def test_columns_that_a_later_table_lacks_are_named_and_further_ones_passed_over():
    schema = schemas.infer(table(), "y")
    with pytest.raises(
        UserError, match=r"the table lacks columns 'floats', 'text'.*trained with them: add them, empty"
    ):
        schema.apply(table().drop(columns=["floats", "text"]))
    schema.apply(table().drop(columns=["constant", "y"]).assign(further=1))


BAD = [
    ({"drop": ["flots"]}, r"no column 'flots'; did you mean 'floats'\? If not, remove it from data\.drop$"),
    ({"drop": ["y"]}, r"data\.drop: 'y' is the target"),
    ({"kinds": {"Ints": "numeric"}}, r"data\.kinds: there is no column 'Ints'; did you mean 'ints'\?"),
    ({"kinds": {"y": "numeric"}}, r"data\.kinds: 'y' is the target"),
    ({"kinds": {"text": "numeric"}}, r"data\.kinds: column 'text' is set to numeric, but holds 'a'"),
    ({"kinds": {"text": "date"}}, r"data\.kinds: column 'text' is set to date, but holds 'a'"),
    ({"kinds": {"text": "boolean"}}, r"data\.kinds: column 'text' is set to boolean, but holds 'a'"),
    ({"drop": ["floats", "ints", "text"]}, r"no column is left to learn from \('floats': listed in data\.drop"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
def test_params_that_do_not_fit_the_columns_are_named(given, message):
    frame = table()[["floats", "ints", "text", "y"]]
    with pytest.raises(UserError, match=message):
        schemas.infer(frame, "y", **given)


def test_the_column_that_groups_rows_is_not_learnt_from():
    schema = schemas.infer(table()[["ints", "text", "y"]], "y", group="text")
    assert schema.used == ("ints",)


def test_levels_that_look_like_numbers_are_known_again_where_a_table_holds_nothing_else():
    floor = pd.Series(["1.0", "2.50", "007", "G"] * 10, name="floor")
    schema = schemas.infer(pd.DataFrame({"floor": floor, "y": range(40)}), "y")
    assert schema.columns[0].levels == ("007", "1.0", "2.50", "G")
    for later in ([1.0, 2.5, 7.0, 3.0], ["1", "2.5", "7", "3"]):  # 007 is a code, and not seven
        _, found = schema.apply(pd.DataFrame({"floor": later}))
        assert found["floor"].tolist() == ["1.0", "2.50", "7", "3"]
    versions = schemas.infer(pd.DataFrame({"v": ["1.1", "1.10", "x", "1.1"] * 10, "y": range(40)}), "y")
    _, found = versions.apply(pd.DataFrame({"v": ["1.10", "1.1", "1.100", "1e0", None]}))
    assert found["v"].tolist() == ["1.10", "1.1", "1.100", "1e0", None]  # no number becomes such text


def test_a_column_called_like_a_part_of_a_date_is_a_column_of_its_own():
    frame = pd.DataFrame({"day": MOMENTS, "day.month": RANDOM.normal(size=N), "y": range(N)})
    schema = schemas.infer(frame, "y")
    numbers, _ = schema.apply(frame)
    assert tuple(numbers.columns) == schema.numeric_names
    assert numbers.shape == (N, len(schema.numeric_names))
    np.testing.assert_array_equal(numbers.iloc[:, -1], frame["day.month"])
