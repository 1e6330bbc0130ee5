"""The audit finds what is wrong, and nothing where nothing is."""

import json

import numpy as np
import pandas as pd
import pytest

from hone.data import audit as audits
from hone.data import checks, splitting
from hone.data import problem as problems
from hone.data import schema as schemas
from hone.errors import UserError

N = 300


def rows(n=N, seed=0):
    random = np.random.default_rng(seed)
    x = random.normal(size=n)
    return pd.DataFrame(
        {
            "x": x,
            "z": random.normal(size=n).round(1),
            "shop": random.choice(["north", "south", "west"], n),
            "label": np.where(x + random.normal(size=n) > 0, "yes", "no"),
            "price": x + random.normal(size=n),
        }
    )


def audited(frame, target="label", **given):
    other = {"label": "price", "price": "label"}[target]
    frame = frame.drop(columns=other)
    problem = problems.infer(frame[target])
    split = splitting.split(frame, problem, **given)
    schema = schemas.infer(frame.iloc[split.train], target)
    return audits.audit(frame, split, problem, schema), split


def kinds(report):
    return {(finding["kind"], finding["severity"], *finding["columns"]) for finding in report["findings"]}


@pytest.mark.parametrize("target", ["label", "price"])
def test_a_sound_table_has_no_findings(target):
    report, split = audited(rows(), target)
    assert report["findings"] == []
    assert report["rows"] == {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)}
    assert json.loads(json.dumps(report)) == report


CLASS_LEAKS = {
    "text": lambda frame: np.where(frame["label"] == "yes", "churned", "kept"),
    "number": lambda frame: np.where(frame["label"] == "yes", 3.0, 4.0) + frame["z"] / 100,
    "missing": lambda frame: frame["z"].where(frame["label"] == "yes"),
    "flag": lambda frame: frame["label"] == "yes",
    "date": lambda frame: (
        pd.Timestamp("2024-01-01") + pd.to_timedelta(np.where(frame["label"] == "yes", 9, 1), unit="D")
    ),
}


@pytest.mark.parametrize("kind", CLASS_LEAKS)
def test_a_column_that_gives_the_class_away_is_a_leak(kind):
    frame = rows()
    report, _ = audited(frame.assign(leak=CLASS_LEAKS[kind](frame)))
    assert ("leak", "warning", "leak") in kinds(report)
    assert {entry[2] for entry in kinds(report) if entry[0] == "leak"} == {"leak"}


@pytest.mark.parametrize(
    "leak", [lambda price: 3 * price + 1, lambda price: np.exp(price), lambda price: -price.round(2)]
)
def test_a_column_that_gives_the_value_away_is_a_leak(leak):
    frame = rows()
    report, _ = audited(frame.assign(leak=leak(frame["price"])), "price")
    assert ("leak", "warning", "leak") in kinds(report)


def test_a_leak_of_many_classes_is_found():
    frame = rows(600).assign(label=lambda frame: np.arange(len(frame)) % 12).sample(frac=1, random_state=0)
    report, _ = audited(frame.assign(leak=frame["label"].map(lambda code: f"level {code * 7 % 12}")))
    assert ("leak", "warning", "leak") in kinds(report)


def test_duplicates_are_counted_across_the_parts():
    frame = rows()
    doubled = pd.concat([frame, frame.iloc[:90]], ignore_index=True)
    report, split = audited(doubled)
    known = {tuple(row) for row in doubled.drop(columns="price").iloc[split.train].to_numpy()}
    expected = sum(tuple(row) in known for row in doubled.drop(columns="price").iloc[split.validation].to_numpy())
    found = {finding["kind"]: finding for finding in report["findings"]}
    assert found["duplicates_validation"]["count"] == expected > 0
    assert found["duplicates_test"]["severity"] == "warning"


def test_duplicates_are_counted_across_the_pieces_of_a_large_table(monkeypatch):
    doubled = pd.concat([rows(), rows().iloc[:90]], ignore_index=True)
    whole, _ = audited(doubled)
    monkeypatch.setattr("hone.data.audit.PIECE", 11)
    assert audited(doubled)[0] == whole


def test_ids_are_found_whether_numbers_or_text_and_plain_counts_are_not():
    random = np.random.default_rng(1)
    frame = rows().assign(
        row=random.permutation(N) + 10**6,
        customerID=[f"{code:05x}" for code in random.permutation(N) + 2**19],
        account_id=random.choice(10**9, N, replace=False),
        visits=random.integers(0, 200, N),
        income=random.choice(10**6, N, replace=False),
    )
    found = {entry for entry in kinds(audited(frame)[0]) if entry[0] == "id"}
    assert found == {("id", "warning", "row"), ("id", "warning", "account_id"), ("id", "info", "customerID")}


def test_constants_empty_and_mostly_missing_columns_and_texts_of_numbers_are_told():
    frame = rows().assign(
        same="x",
        empty=None,
        hardly=lambda f: f["z"].where(f["z"] > 1),
        paid=lambda f: f["z"].map(lambda z: str(z) if z < 2 else " "),
    )
    found = kinds(audited(frame)[0])
    assert ("constant", "info", "same") in found
    assert ("empty", "info", "empty") in found
    assert ("mostly_missing", "info", "hardly") in found
    assert ("text_of_numbers", "info", "paid") in found


def test_rare_classes_and_classes_absent_from_a_part_are_warned_of():
    frame = rows().assign(label=["rare"] * 5 + ["yes", "no"] * 147 + ["yes"])
    assert ("rare_class", "warning", "label") in kinds(audited(frame)[0])
    late = rows().assign(label=["a", "b"] * 125 + ["c", "a"] * 25, x=range(N))
    report, _ = audited(late, time="x")
    assert ("absent_class", "warning", "label") in kinds(report)


@pytest.mark.parametrize("target", ["label", "price"])
def test_rows_sorted_by_target_are_told(target):
    frame = rows().sort_values(target, ignore_index=True)
    assert ("sorted_by_target", "info", target) in kinds(audited(frame, target)[0])


def test_no_value_of_a_test_row_is_told():
    frame = rows().assign(shop=lambda f: f["shop"], secret=[f"secret-{i % 50}" for i in range(N)])
    problem = problems.infer(frame["label"])
    split = splitting.split(frame, problem)
    marked = frame.copy()
    marked.loc[split.test, ["x", "z"]] = [[123456.5, 654321.5]] * len(split.test)
    marked.loc[split.test, ["shop", "secret"]] = "sealed"
    schema = schemas.infer(marked.iloc[split.train], "label", drop=["price"])
    report = audits.audit(marked, split, problem, schema)
    text = json.dumps([report, schema.to_json()])
    for value in ("123456", "654321", "sealed"):
        assert value not in text


TABLE = rows()
BAD_TABLES = [
    (TABLE.head(0), r"the table has a header only \(5 columns, no rows\)"),
    (TABLE.head(4), r"the table has 4 rows, too few"),
    (TABLE.rename(columns={"z": "x"}), r"column 'x' stands there more than once"),
    (TABLE.assign(x=TABLE["x"].where(TABLE.index != 6, np.inf)), r"column 'x', row 7 is infinite: inf;"),
    (TABLE.assign(x=[1e200] * 2 + [0.0] * (N - 2)), r"column 'x', row 1 is too large .*1e\+200 \(and 1 more like it\)"),
]


@pytest.mark.parametrize(("frame", "message"), BAD_TABLES)
def test_a_table_that_cannot_be_learnt_from_is_named(frame, message):
    with pytest.raises(UserError, match=message):
        checks.check_table(frame)


def test_values_of_columns_that_are_dropped_do_not_matter():
    checks.check_table(TABLE.assign(x=np.inf), ignore=["x"])
