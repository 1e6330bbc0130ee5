"""From a file to its split: what is read, what is refused and why, and that test rows are in one place only."""

import dataclasses
import gzip
import hashlib
import json
import os
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hone.data import cells, preprocessing, splitting
from hone.data.problem import Problem
from hone.data.schema import Schema
from hone.errors import UserError
from tasks import files, ingest, sources, split, tables
from tasks.executors import WorkerPool
from tasks.params import Params, parse_params
from tasks.reporting import NullReporter
from tasks.stage import Stage
from tasks.tracking import NullTracker

N = 120
CSV = "a,b\n1,x\n2,y\n"


def dirty(n=N):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"row-{i}" for i in range(n)],
            "age": random.integers(18, 90, n),
            "paid": [f"{value:.2f}" if i % 11 else " " for i, value in enumerate(random.exponential(50, n))],
            "city": random.choice(["Bern", "Zürich", "Chur, GR", ""], n),
            "member": [True if i % 3 else None if i % 2 else False for i in range(n)],
            "joined": pd.date_range("2020-01-01", periods=n).strftime("%Y-%m-%d"),
            "shop": random.integers(0, 15, n),
            "same": 1,
            "churn": random.choice(["No", "Yes"], n, p=[0.7, 0.3]),
            "spend": random.normal(size=n).round(3),
        }
    )
    frame.loc[[5, 9], "churn"] = None
    return frame


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data" / "raw").mkdir(parents=True)
    return tmp_path


def stage(root, name, params):
    return Stage(
        name=name,
        root=root,
        params=params,
        fingerprint="f",
        pipeline="p",
        executor=WorkerPool(1),
        tracker=NullTracker(),
        reporter=Recorder(),
    )


class Recorder(NullReporter):
    """Keeps what it is told."""

    def __init__(self):
        self.lines = []

    def message(self, text):
        self.lines.append(text)

    def warning(self, text):
        self.lines.append(f"warning: {text}")

    def table(self, title, columns, rows):
        self.lines.append(f"{title}: {columns} {rows}")


def run_both(root, params):
    ingest.run(stage(root, "ingest", params))
    done = stage(root, "split", params)
    split.run(done)
    return done.reporter.lines


def write_dirty(root, ending="csv"):
    path = root / "data" / "raw" / f"shop.{ending}"
    if ending == "parquet":
        dirty().to_parquet(path)
    else:
        dirty().to_csv(path, index=False)
    return f"data/raw/shop.{ending}"


def params_for(source, target="churn", **sections):
    data = {"source": source, "target": target, **sections.pop("data", {})}
    return parse_params({"data": data, **sections})


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# Reading


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_a_table_reads_alike_from_every_kind_of_file(root, ending):
    frame = tables.read_table(root / write_dirty(root, ending))
    expected = tables.read_table(root / write_dirty(root, "csv"))
    assert list(frame.columns) == list(expected.columns)
    for name in ("age", "city", "spend", "churn"):
        assert cells.texts(frame[name]).tolist() == cells.texts(expected[name]).tolist()


@pytest.mark.parametrize(
    "text", [CSV, CSV.replace(",", ";"), CSV.replace(",", "\t"), "\ufeff" + CSV, CSV.replace("\n", "\r\n")]
)
def test_delimiters_marks_and_line_ends_are_recognised(root, text):
    path = root / "t.csv"
    path.write_bytes(text.encode())
    pd.testing.assert_frame_equal(tables.read_table(path), pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))


CODES = """zip,padded,quoted,signed,version,n,price,day,hits
00701,  07,"01",+05,01.10,0,0.5,2024-01-05,1
,  12,"10",-0,1.2,10,-0.1,2024-10-05,-0
10115,   7,"11",3,1.3,20,0,2024-01-07,0
"""


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_column_with_leading_zeros_is_text_all_of_it_and_zero_itself_is_a_number(root, ending, delimiter):
    path = root / f"t.{ending}"
    content = CODES.replace(",", delimiter).encode()
    path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    frame = tables.read_table(path)
    assert {name: cells.texts(frame[name]).tolist() for name in frame.columns[:5]} == {
        "zip": ["00701", None, "10115"],
        "padded": ["07", "12", "7"],
        "quoted": ["01", "10", "11"],
        "signed": ["+05", "-0", "3"],
        "version": ["01.10", "1.2", "1.3"],
    }
    assert [frame[name].dtype.kind for name in ("n", "price", "hits")] == ["i", "f", "i"]
    assert list(frame.columns) == CODES.splitlines()[0].split(",")


LATE = """zip,version,flag,note
7,1.50,True,
8,2.0,False,3
00701,3.00,,free
9,beta,True,4
5,1.5,False,
"""


@pytest.mark.parametrize("rows", [1, 2, 5, 7])
@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_pieces_of_a_table_hold_what_the_table_holds(root, ending, rows):
    path = root / f"t.{ending}"
    (root / "t.csv").write_text(LATE)
    whole = tables.read_table(root / "t.csv")
    if ending == "parquet":
        whole.to_parquet(path, row_group_size=3)
    elif ending == "csv.gz":
        path.write_bytes(gzip.compress(LATE.encode()))
    pieces = list(tables.read_pieces(path, rows))
    assert [len(piece) for piece in pieces] == [rows] * (5 // rows) + [5 % rows] * (5 % rows > 0)
    for name in whole.columns:
        found = [text for piece in pieces for text in cells.texts(piece[name])]
        assert found == cells.texts(whole[name]).tolist()


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_codes_are_the_same_levels_in_every_part_of_the_split_and_for_the_model(root, ending):
    random = np.random.default_rng(0)
    frame = dirty().assign(zip=random.choice(["00701", "01067", "10115"], N))
    path = root / "data" / "raw" / f"shop.{ending}"
    frame.to_parquet(path) if ending == "parquet" else frame.to_csv(path, index=False)
    run_both(root, params_for(f"data/raw/shop.{ending}"))
    folder = root / "data" / "split"
    schema = Schema.from_json(files.read_json(folder / "schema.json"))
    (column,) = [column for column in schema.columns if column.name == "zip"]
    assert (column.kind, column.levels) == ("categorical", ("00701", "01067", "10115"))
    problem = Problem.from_json(files.read_json(folder / "problem.json"))
    fitted = preprocessing.fit(pd.read_parquet(folder / "train.parquet"), schema, problem)
    place = schema.categorical_names.index("zip")
    for rows in (pd.read_parquet(folder / "sealed" / "test.parquet"), tables.read_table(path)):
        codes = fitted.features(rows).x_cat[:, place]
        assert [column.levels[code - 1] for code in codes] == rows["zip"].tolist()


def test_quoted_fields_may_hold_delimiters_and_line_ends(root):
    path = root / "t.csv"
    path.write_text('a,b\n1,"x, y"\n\n2,"two\nlines"\n')
    assert tables.read_table(path)["b"].tolist() == ["x, y", "two\nlines"]


def test_floats_survive_a_csv_to_the_bit(root):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=2000) * 10.0 ** random.integers(-200, 90, 2000)})
    files.write_csv(root / "t.csv", frame)
    assert (tables.read_table(root / "t.csv")["x"] == frame["x"]).all()


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [
        ("digits", (1797, 65), tuple(range(10))),
        ("breast_cancer", (569, 31), ("benign", "malignant")),
        ("wine", (178, 14), ("class_0", "class_1", "class_2")),
        ("diabetes", (442, 11), None),
    ],
)
def test_scikit_learn_s_sets_are_tables_with_a_target(root, name, shape, classes):
    frame, target = tables.load_sklearn(f"sklearn:{name}")
    assert (frame.shape, target) == (shape, "target")
    checked = split.check(root, parse_params({"data": {"source": f"sklearn:{name}"}}))
    assert checked.problem.classes == classes
    assert len(checked.schema.categorical_names) == 0
    files.write_csv(root / "t.csv", frame)
    pd.testing.assert_frame_equal(tables.read_table(root / "t.csv"), frame)


# What is refused

BAD_FILES = [
    ("shop.csv", None, r"data/raw/shop\.csv: there is no such file; did you mean data/raw/shops\.csv\?"),
    ("sales.parquet", None, r"data/raw/sales\.parquet: there is no such file; add it with `hone add FILE`"),
    ("t.csv", b"", r"data/raw/t\.csv is empty"),
    ("t.csv", b"\n \n", r"data/raw/t\.csv is empty"),
    ("t.csv", b"a,b\n", r"data/raw/t\.csv has a header only \(2 columns, no rows\); add rows"),
    ("t.csv", b"a,b\n1,2\n3,4,5\n", r"data/raw/t\.csv, line 3 has 3 fields, but the header has 2; mend the line"),
    ("t.csv", b"a,b\n1,2\n3\n", r"data/raw/t\.csv, line 3 has 1 fields, but the header has 2"),
    ("t.csv", b'a,b\n1,"x\ny"\n\n3\n', r"data/raw/t\.csv, line 5 has 1 fields"),
    ("t.csv", b'a,b\n1,2\n3,"open\n5,6\n', r"data/raw/t\.csv, line 3 is broken .*quotes"),
    (
        "t.csv",
        "a,b\n1,2\nCafé,4\n".encode("latin1"),
        r"data/raw/t\.csv is not UTF-8: byte 0xe9 in line 3; .*`iconv -f WINDOWS-1252 -t UTF-8 data/raw/t\.csv > ",
    ),
    ("t.csv", b"a,b,a\n1,2,3\n", r"column 'a' stands there more than once in the header; rename all but one"),
    ("t.csv.gz", b"a,b\n1,2\n", r"data/raw/t\.csv\.gz does not unpack"),
    ("t.csv.gz", gzip.compress(CSV.encode() * 99, mtime=0)[:-20], r"data/raw/t\.csv\.gz does not unpack"),
    ("t.parquet", b"a,b\n1,2\n", r"data/raw/t\.parquet is no readable parquet file"),
    ("t.xlsx", b"PK", r"data/raw/t\.xlsx is no readable workbook"),
    ("t.zip", b"PK", r"data/raw/t\.zip is no zip that can be read"),
    ("t.foo", b"PK", r"data/raw/t\.foo is of a kind that is not read; use \.csv, \.tsv"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES)
@pytest.mark.parametrize("door", ["check", "ingest"])
def test_a_file_that_cannot_be_read_is_named_with_place_and_remedy(root, name, content, message, door):
    (root / "data" / "raw" / "shops.csv").write_text(CSV)
    if content is not None:
        (root / "data" / "raw" / name).write_bytes(content)
    before = hashes(root)
    params = params_for(f"data/raw/{name}", target="a")
    with pytest.raises(UserError, match=message) as caught:
        split.check(root, params) if door == "check" else ingest.run(stage(root, "ingest", params))
    assert str(caught.value).count("\n") <= 1
    assert hashes(root) == before


@pytest.mark.parametrize(
    ("name", "near"),
    [("nothere.csv", None), ("Energy.csv", "energie.csv"), ("energie.tsv", "energie.csv"), ("shop.gz", None)],
)
def test_a_file_that_is_not_there_has_a_near_one_only_if_the_names_are_alike(tmp_path, name, near):
    for other in ("energie.csv", "energie.txt", "gz.csv"):
        (tmp_path / other).write_text(CSV)
    with pytest.raises(UserError) as caught:
        sources.check_kind(tmp_path / name)
    hint = f"did you mean {tmp_path / near}?" if near else "add it with `hone add FILE`, or mend the path"
    assert str(caught.value) == f"{tmp_path / name}: there is no such file; {hint}"


def test_an_unknown_set_is_named_with_the_nearest(root):
    with pytest.raises(UserError, match=r"data\.source: there is no 'sklearn:digit'; did you mean sklearn:digits\?"):
        split.check(root, params_for("sklearn:digit", None))


@pytest.mark.parametrize("source", ["shop.csv", "../shop.csv", "/elsewhere/shop.csv"])
def test_a_file_outside_the_tracked_folder_is_refused(root, source):
    write_dirty(root)
    with pytest.raises(UserError, match=r"is not in data/raw/, .*; use data/raw/shop\.csv"):
        split.check(root, params_for(source))


def test_a_link_to_a_file_elsewhere_is_followed(root, tmp_path_factory):
    source = write_dirty(root)
    elsewhere = (root / source).rename(tmp_path_factory.mktemp("cache") / "c0ffee")
    (root / source).symlink_to(elsewhere)
    assert len(split.check(root, params_for(source)).frame) == N - 2


def test_a_folder_is_refused(root):
    with pytest.raises(UserError, match="data/raw is the folder of all data; name a file or a folder in it"):
        split.check(root, params_for("data/raw"))
    (root / "data" / "raw" / "empty").mkdir()
    with pytest.raises(UserError, match="data/raw/empty holds no pictures"):
        split.check(root, params_for("data/raw/empty"))


BAD_PARAMS = [
    ({}, {"target": None}, r"data\.target: not set; name the column to predict, one of 'id', 'age', 'paid'"),
    ({}, {"target": "chrun"}, r"data\.target: there is no column 'chrun'; did you mean 'churn'\?"),
    ({}, {"target": "same"}, r"data\.target: column 'same' is constant"),
    ({}, {"target": "city", "task": "regression"}, r"column 'city' is to be predicted as a number, but row \d+ is"),
    ({}, {"metric": "r2"}, r"data\.metric: r2 does not fit a binary task"),
    ({}, {"drop": ["idd"]}, r"data\.drop: there is no column 'idd'; did you mean 'id'\?"),
    ({}, {"kinds": {"agee": "categorical"}}, r"data\.kinds: there is no column 'agee'; did you mean 'age'\?"),
    ({}, {"positive": "Maybe"}, r"data\.positive: 'Maybe' is no class"),
    ({"method": "grouped", "group": "shp"}, {}, r"split\.group: there is no column 'shp'; did you mean 'shop'\?"),
    ({"method": "time", "time": "joind"}, {}, r"split\.time: there is no column 'joind'; did you mean 'joined'\?"),
    (
        {"method": "grouped", "group": "shop", "folds": 14},
        {},
        r"split\.folds: 14 folds, but column 'shop' has only \d+",
    ),
    ({"folds": 60}, {}, r"split\.folds: 60 folds, but class 'Yes' has only \d+ rows"),
]


@pytest.mark.parametrize(("asked", "data", "message"), BAD_PARAMS)
def test_params_that_do_not_fit_the_table_are_named(root, asked, data, message):
    params = params_for(write_dirty(root), data=data, split=asked)
    before = hashes(root)
    with pytest.raises(UserError, match=message):
        split.check(root, params)
    assert hashes(root) == before


@pytest.mark.parametrize(
    ("asked", "fold"),
    [
        ({"method": "time", "time": "day", "gap": 6, "folds": 4}, 0),
        ({"method": "stratified", "folds": 2}, r"\d"),
    ],
)
def test_folds_that_leave_no_rows_to_stop_by_are_refused(asked, fold):
    frame = pd.DataFrame({"day": range(60), "x": np.sin(np.arange(60.0))})
    frame["y"] = np.cos(np.arange(60.0)) if "time" in asked else ["rare"] * 4 + ["often"] * 56
    whole = {name: value for name, value in asked.items() if name != "folds"}
    split.check_frame(frame, "y", params_for("t", None, split=whole, train={"stopping": "apart"}))
    split.check_frame(frame, "y", params_for("t", None, split=asked))
    said = rf"^train\.stopping: apart, fold {fold} of split\.folds: {asked['folds']}: .* fewer folds$"
    with pytest.raises(UserError, match=said) as refusal:
        split.check_frame(frame, "y", params_for("t", None, split=asked, train={"stopping": "apart"}))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.assign(churn=None), r"every value of column 'churn' is missing"),
        (
            lambda frame: frame.assign(churn=["Yes", "Maybe"] + ["No", "Yes"] * 59),
            r"class 'Maybe' .* too rare to split",
        ),
        (lambda frame: frame.assign(spend=np.inf), r"column 'spend', row 1 is infinite: inf \(and 119 more like it\)"),
    ],
)
def test_tables_that_do_not_suffice_are_named(root, change, message):
    path = root / "data" / "raw" / "t.csv"
    change(dirty()).to_csv(path, index=False)
    with pytest.raises(UserError, match=message):
        split.check(root, params_for("data/raw/t.csv"))


# The stages

SPLITS = {
    "stratified": {},
    "random": {"split": {"method": "random", "folds": 3}},
    "grouped": {"split": {"method": "grouped", "group": "shop", "folds": 3}},
    "time": {"split": {"method": "time", "time": "joined", "folds": 3}},
}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("kind", SPLITS)
def test_split_files_hold_every_row_once_as_it_came_and_fit_together(root, kind, ending):
    params = params_for(write_dirty(root, ending), **SPLITS[kind])
    run_both(root, params)
    folder = root / "data" / "split"
    parts = [pd.read_parquet(folder / f"{name}.parquet") for name in ("train", "validation", "sealed/test")]
    raw = tables.read_table(root / params.data.source)
    together = pd.concat(parts).sort_values("joined", ignore_index=True)
    expected = raw[raw["churn"].notna()].reset_index(drop=True)
    expected["member"] = expected["member"].astype(object).where(expected["member"].notna(), None)
    pd.testing.assert_frame_equal(together, expected)
    assert len({str(pq.read_schema(folder / f"{name}.parquet").types) for name in ("train", "sealed/test")}) == 1

    schema = Schema.from_json(files.read_json(folder / "schema.json"))
    problem = Problem.from_json(files.read_json(folder / "problem.json"))
    preprocessor = preprocessing.fit(parts[0], schema, problem)
    for part in parts:
        assert np.isfinite(preprocessor.transform(part).x_num).all()
    folds = pd.read_parquet(folder / "folds.parquet")
    assert len(folds) == len(parts[0]) + len(parts[1])
    training, _ = splitting.fold_rows(folds, 0)
    if not params.split.folds:
        assert training.tolist() == list(range(len(parts[0])))


@pytest.mark.parametrize("kind", SPLITS)
def test_the_same_input_gives_the_same_bytes(root, kind, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "data" / "raw").mkdir(parents=True)
    for place in (root, other):
        run_both(place, params_for(write_dirty(place), **SPLITS[kind]))
    first = hashes(root / "data")
    run_both(root, params_for("data/raw/shop.csv", **SPLITS[kind]))
    assert first == hashes(other / "data") == hashes(root / "data")
    assert set(first) == {
        "raw/shop.csv", "raw/ingested/source.json", "split/train.parquet", "split/validation.parquet",
        "split/folds.parquet", "split/trial_folds.parquet", "split/schema.json", "split/problem.json",
        "split/audit.json", "split/sealed/test.parquet", "split/sealed/rows.parquet",
    }  # fmt: skip


def test_test_rows_are_in_the_sealed_file_and_in_no_other(root):
    source = write_dirty(root)
    params = params_for(source, data={"kinds": {"id": "categorical"}})  # every level of a training row is in the schema
    lines = run_both(root, params)
    folder = root / "data" / "split"
    sealed = pd.read_parquet(folder / "sealed" / "test.parquet")["id"]
    assert len(sealed) > 20
    for path in folder.glob("*"):
        if path.is_file():
            text = pd.read_parquet(path).to_csv() if path.suffix == ".parquet" else path.read_text()
            known = set(re.findall(r"row-\d+", text + "\n".join(lines)))
            assert known.isdisjoint(sealed), path.name


def test_the_rest_does_not_depend_on_what_the_test_rows_hold(root):
    """Only the label of a test row counts, for the classes and their shares, and whether it repeats another row."""
    params = params_for(write_dirty(root))
    run_both(root, params)
    first = hashes(root / "data" / "split")
    sealed = set(pd.read_parquet(root / "data" / "split" / "sealed" / "test.parquet")["id"])
    raw = pd.read_csv(root / params.data.source)
    is_test = raw["id"].isin(sealed)
    raw.loc[is_test, ["age", "shop", "spend"]] = raw.loc[is_test, ["age", "shop", "spend"]].to_numpy() * 7 + 1000
    raw.loc[is_test, "city"] = "Atlantis"
    raw.astype({"age": int, "shop": int}).to_csv(root / params.data.source, index=False)
    run_both(root, params)
    changed = {name for name, digest in hashes(root / "data" / "split").items() if first[name] != digest}
    assert changed == {"sealed/test.parquet"}


def test_rows_without_a_target_are_left_out_and_told(root):
    lines = run_both(root, params_for(write_dirty(root)))
    audit = files.read_json(root / "data" / "split" / "audit.json")
    assert sum(audit["rows"].values()) == N - 2
    assert {"kind": "missing_target", "severity": "info", "columns": ["churn"], "count": 2}.items() <= next(
        finding.items() for finding in audit["findings"] if finding["kind"] == "missing_target"
    )
    assert "2 of 120 rows have no value in 'churn' (1.6 %), and are left out" in lines
    assert any("same" in line for line in lines)


def test_a_set_of_scikit_learn_s_goes_through_a_file_and_gives_what_check_gives(root):
    params = Params()
    run_both(root, params)
    checked = split.check(root, params)
    assert files.read_json(root / "data" / "raw" / "ingested" / "source.json")["table"] == "data/raw/ingested/table.csv"
    train = pd.read_parquet(root / "data" / "split" / "train.parquet")
    pd.testing.assert_frame_equal(train, checked.frame.iloc[checked.split.train].reset_index(drop=True))
    assert Schema.from_json(files.read_json(root / "data" / "split" / "schema.json")) == checked.schema


def test_another_source_leaves_no_former_table_behind(root):
    run_both(root, Params())
    run_both(root, params_for(write_dirty(root)))
    assert [path.name for path in (root / "data" / "raw" / "ingested").iterdir()] == ["source.json"]


def test_check_writes_nothing(root):
    params = params_for(write_dirty(root))
    before = hashes(root)
    split.check(root, params)
    assert hashes(root) == before


def test_another_seed_gives_another_split(root):
    source = write_dirty(root)
    one, two = (split.check(root, params_for(source, seed=seed)).split for seed in (0, 1))
    assert one.test.tolist() != two.test.tolist()
    assert len(dataclasses.fields(one)) == 4


# Files


def test_json_is_sorted_ends_with_a_line_and_has_no_nan(root):
    files.write_json(root / "x" / "a.json", {"b": np.float32(0.5), "a": [np.int64(1), float("nan")], "ü": np.arange(2)})
    text = (root / "x" / "a.json").read_text(encoding="utf-8")
    assert text == '{\n  "a": [\n    1,\n    null\n  ],\n  "b": 0.5,\n  "ü": [\n    0,\n    1\n  ]\n}\n'
    assert files.read_json(root / "x" / "a.json") == json.loads(text)


def test_a_write_that_breaks_off_leaves_what_was_there(root):
    path = root / "a.txt"
    files.write_text(path, "whole")

    def break_off():
        with files.atomic(path) as file:
            file.write(b"ha")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert path.read_text() == "whole"
    assert [entry.name for entry in root.iterdir() if entry.is_file()] == ["a.txt"]


def test_equal_tables_are_equal_files(root):
    frame = dirty()
    files.write_parquet(root / "a.parquet", frame)
    files.write_parquet(root / "b.parquet", frame.copy().set_index(np.arange(N)[::-1]))
    assert files.sha256(root / "a.parquet") == files.sha256(root / "b.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(root / "a.parquet"), frame)


# What a fuzzer found


def parquet(root, table):
    place = root / "data" / "raw" / "t.parquet"
    pq.write_table(table, place)
    return place


def test_numbers_beyond_single_precision_are_audited(root):
    frame = dirty().assign(huge=np.linspace(-9e99, 9e99, N))
    frame.to_csv(root / "data" / "raw" / "t.csv", index=False)
    run_both(root, params_for("data/raw/t.csv"))


def test_line_ends_of_old_macs_are_named(root):
    (root / "data" / "raw" / "t.csv").write_bytes(b"a;b\r1;2\r3;4\r")
    with pytest.raises(UserError, match=r"line 1 ends in \\r, as on old Macs; save it with \\n"):
        tables.read_table(root / "data" / "raw" / "t.csv")


def test_an_index_that_is_called_like_a_column_is_named(root):
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index([5, 6], name="a"))
    place = parquet(root, pa.Table.from_pandas(frame.rename_axis("b")).rename_columns(["a", "a"]))
    with pytest.raises(UserError, match="'a' stands there more than once"):
        tables.read_table(place)
    index = {"name": "x", "field_name": "b", "pandas_type": "int64", "numpy_type": "int64", "metadata": None}
    column = {**index, "name": "x", "field_name": "a"}
    notes = {"index_columns": ["b"], "column_indexes": [], "columns": [column, index], "pandas_version": "3.0.0"}
    table = pa.table({"a": [1, 2], "b": [5, 6]}).replace_schema_metadata({"pandas": json.dumps(notes)})
    with pytest.raises(UserError, match="its index is called 'x', like a column; rename one of them"):
        tables.read_table(parquet(root, table))


def in_pieces(place, rows=7):
    return pd.concat(list(tables.read_pieces(place, rows)), ignore_index=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame[frame.index % 3 > 0],
        lambda frame: frame.sample(frac=1, random_state=0),
        lambda frame: pd.concat([frame, frame]),
        lambda frame: frame.set_axis([f"r{row}" for row in range(len(frame))]),
    ],
    ids=["filtered", "shuffled", "concatenated", "text"],
)
@pytest.mark.parametrize("columns", [["a", "b"], ["index", "level_0"]])
def test_an_index_without_a_name_is_no_column(root, change, columns):
    frame = change(pd.DataFrame({columns[0]: np.arange(30.0), columns[1]: ["x", "y"] * 15}))
    place = root / "data" / "raw" / "t.parquet"
    frame.to_parquet(place, row_group_size=11)
    whole = tables.read_table(place)
    pd.testing.assert_frame_equal(whole, frame.reset_index(drop=True))
    pd.testing.assert_frame_equal(in_pieces(place), whole)


@pytest.mark.parametrize("names", [["id"], ["id", None], [None, "id"], ["id", "day"]])
def test_levels_of_an_index_that_have_a_name_are_columns(root, names):
    index = pd.MultiIndex.from_arrays([[5, 3, 4, 1], ["p", "q", "r", "s"]][: len(names)], names=names)
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}, index=index if len(names) > 1 else index.get_level_values(0))
    place = root / "data" / "raw" / "t.parquet"
    frame.to_parquet(place, row_group_size=3)
    whole = tables.read_table(place)
    assert list(whole.columns) == [*(name for name in names if name is not None), "a"]
    for name in (name for name in names if name is not None):
        assert whole[name].tolist() == index.get_level_values(name).tolist()
    pd.testing.assert_frame_equal(in_pieces(place, 3), whole)


@pytest.mark.parametrize(("start", "step"), [(100, 1), (0, 1), (7, -2)])
def test_a_running_index_with_a_name_is_a_column_and_one_without_is_none(root, start, step):
    index = pd.RangeIndex(start, start + 30 * step, step)
    frame = pd.DataFrame({"a": np.arange(30.0)}, index=index)
    place = root / "data" / "raw" / "t.parquet"
    frame.to_parquet(place, row_group_size=11)
    whole = tables.read_table(place)
    pd.testing.assert_frame_equal(whole, frame.reset_index(drop=True))
    pd.testing.assert_frame_equal(in_pieces(place), whole)
    frame.rename_axis("id").to_parquet(place, row_group_size=11)
    whole = tables.read_table(place)
    pd.testing.assert_frame_equal(whole, frame.rename_axis("id").reset_index())
    for rows in (7, 11, 30):
        pd.testing.assert_frame_equal(in_pieces(place, rows), whole)
    table = pa.Table.from_pandas(frame.rename_axis("id"))
    with pa.ipc.new_file(root / "t.arrow", table.schema) as writer:
        writer.write_table(table)
    pd.testing.assert_frame_equal(tables.read_table(root / "t.arrow"), whole)
    frame.rename_axis("a").to_parquet(place)
    with pytest.raises(UserError, match="its index is called 'a', like a column"):
        tables.read_table(place)


def test_rows_of_a_table_that_was_cut_are_numbered_as_they_stand_in_the_file(root):
    place = root / "data" / "raw" / "shop.parquet"
    dirty(300).iloc[100:].to_parquet(place)
    run_both(root, params_for("data/raw/shop.parquet"))
    numbers = pd.read_parquet(root / "data" / "split" / "sealed" / "rows.parquet")["row"]
    rows = pd.read_parquet(root / "data" / "split" / "sealed" / "test.parquet")
    assert tables.read_table(place)["id"].iloc[numbers - 1].tolist() == rows["id"].tolist()


@pytest.mark.parametrize("notes", [b"{", b"{}", b"[]", b"\xff", b'{"index_columns": ["a"]}'])
def test_broken_notes_of_pandas_are_no_traceback(root, notes):
    table = pa.table({"a": [1.0, 2.0]}).replace_schema_metadata({b"pandas": notes})
    try:
        found = tables.read_table(parquet(root, table))
    except UserError as error:
        assert "is no readable parquet file" in str(error)  # noqa: PT017
    else:
        assert list(found.columns) == ["a"]


def test_text_in_parquet_that_is_no_utf8_is_named(root):
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ab", b"\xff\xfe"]).buffers())
    with pytest.raises(UserError, match=r"is no readable parquet file .*UTF8"):
        tables.read_table(parquet(root, pa.table({"a": broken})))


def test_a_column_of_mappings_is_kept_as_text_and_left_out(root):
    frame = dirty()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    pairs = pa.array([[("p", number)] for number in range(N)], pa.map_(pa.string(), pa.int64()))
    parquet(root, table.append_column("pairs", pairs))
    run_both(root, params_for("data/raw/t.parquet"))
    stored = pd.read_parquet(root / "data" / "split" / "train.parquet")
    assert stored["pairs"].map(lambda cell: isinstance(cell, str)).all()
    schema = json.loads((root / "data" / "split" / "schema.json").read_text())
    assert {column["name"]: column["kind"] for column in schema["columns"]}["pairs"] == "dropped"


def test_a_word_for_missing_is_a_value_where_a_column_is_known_to_have_it(root):
    path = root / "new.csv"
    path.write_text("region,size\nNA,1\nEU,NA\n,3\nNA,null\n")
    (piece,) = tables.read_pieces(path, 10, {"region": frozenset({"NA", "EU"}), "size": frozenset({"5"})})
    assert piece["region"].fillna("?").tolist() == ["NA", "EU", "?", "NA"]
    assert piece["size"].isna().tolist() == [False, True, False, True]
    (piece,) = tables.read_pieces(path, 10)
    assert piece["region"].isna().tolist() == [True, False, True, True]


def test_a_file_that_is_replaced_keeps_who_may_read_it_and_a_new_one_follows_the_umask(root):
    for mode in (0o600, 0o640, 0o644):
        files.write_text(root / "params.yaml", "a: 1\n")
        (root / "params.yaml").chmod(mode)
        files.write_text(root / "params.yaml", "a: 2\n")
        assert (root / "params.yaml").stat().st_mode & 0o777 == mode
    before = os.umask(0o077)
    try:
        files.write_text(root / "new", "")
    finally:
        os.umask(before)
    assert (root / "new").stat().st_mode & 0o777 == 0o600
    assert not [*root.glob(".new.*"), *root.glob(".params.yaml.*")]
