"""Tables as no one should export them, through ingest, split, one short training, and back through `hone predict`."""

import bz2
import csv
import datetime as dt
import decimal
import gzip
import io
import json
import lzma
import math
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hypothesis import strategies as st

from hone import models
from hone.data import preprocessing
from hone.trial import State, Trial
from tasks import checkpoints, model_store, pipeline, predict, run, sources, trainables
from tasks.params import load_params
from tasks.reporting import NullReporter
from tasks.stage import Stage
from tasks.tracking import NullTracker
from tests.fuzz.harness import ROOT, Outcome, dice, outcome
from tests.inline import Here

NAMES = st.one_of(
    st.sampled_from(["a", "b", "y", "id", "target", "prediction", "fold", "image", "class", "path", "index",
        "level_0", "None"]),
    st.sampled_from(["", " ", "\n", "a\nb", "a\tb", "__index_level_0__", "probability_a", "A", "a ", "é",
        "e\u0301", "表", "\u202e"]),
    st.sampled_from(["<b>x</b>", "<script>alert(1)</script>", 'quo"te', "a,b", "a;b", "`x`", "a.days",
        "\0target", "\x1b[31m", "x" * 500]),
    st.sampled_from(["1", "1.5", "nan", "NA", "true", "2024-01-01", "Unnamed: 0", "a.1", "%s", "{x}", "[red]",
        "\\", "'", "../x"]),
    st.text(max_size=6),
)  # fmt: skip
SOME_NAMES = st.one_of(
    st.lists(NAMES, min_size=1, max_size=5),
    st.lists(NAMES, min_size=2, max_size=5, unique=True),
    NAMES.map(lambda name: ["p", name, "q"]),
    NAMES.map(lambda name: ["p", "q", name]),
)
TEXTS = st.one_of(
    st.sampled_from(["x", "y", "yes", "no", "true", "False", "", " ", "NA", "nan", "None", "0", "1", "007",
        "1e5", "1e400", "-inf"]),
    st.sampled_from(["2024-01-01", "2024-13-01", "0001-01-01", "9999-12-31", "2024-01-01T00:00:00+99:00",
        "1/2/2024", "12:30", "١٢"]),
    st.sampled_from(["a\nb", "a,b", 'a"b', "\t", "<script>", "\x1b[0m", "\u202e", "x" * 2000, "1_000", "1,5",
        "é", "表", "0x10", "+1", "٣"]),
    st.text(max_size=6),
)  # fmt: skip
FLOATS = st.one_of(
    st.floats(-3, 3),
    st.sampled_from([0.0, -0.0, 1.0, 2.0, 1e-310, 5e-324, 1e99, 9e99, -9e99, 1e101, 1e308, float("inf"),
        float("-inf"), float("nan")]),
)  # fmt: skip
CALM = st.one_of(
    st.floats(-3, 3),
    st.integers(-3, 3).map(float),
    st.floats(-9e99, 9e99),
    st.sampled_from([1e-300, 9e99, float("nan")]),
)
INTS = st.one_of(st.integers(0, 3), st.integers(-(2**63), 2**63 - 1), st.integers(-100, 100))
DATES = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))


@dataclass(frozen=True)
class Case:
    """A file of data, and what params say of it, by dotted key."""

    name: str
    content: bytes
    params: Mapping[str, Any]

    def __repr__(self) -> str:
        shown = self.content if len(self.content) <= 300 else self.content[:300] + b"..."
        if self.name.endswith(".parquet"):
            try:
                table = pq.read_table(io.BytesIO(self.content))
                shown = f"{table.schema.remove_metadata().to_string()} {table.slice(0, 3).to_pydict()}".encode()[:1500]
            except Exception:  # of any type: the file may be broken on purpose
                shown = self.content[:60]
        return f"Case({self.name!r}, {shown!r}, {dict(self.params)!r})"


@st.composite
def _params(draw: st.DrawFn, columns: list[str]) -> dict[str, Any]:
    random = draw(dice)
    known = [name for name in columns if _writable(name)] or ["y"]
    some = st.one_of(st.sampled_from(known), st.sampled_from(known), NAMES.filter(_writable))
    found: dict[str, Any] = {"data.target": known[-1] if random.random() < 0.9 else draw(some)}
    odd: dict[str, st.SearchStrategy[Any]] = {
        "data.task": st.sampled_from(["binary", "multiclass", "regression"]),
        "data.metric": st.sampled_from(["accuracy", "rmse", "roc_auc", "log_loss", "f1", "r2"]),
        "data.positive": st.one_of(TEXTS.filter(_writable), st.integers(-3, 3), st.booleans(), st.floats(-3, 3)),
        "data.drop": st.lists(some, max_size=2),
        "data.kinds": st.dictionaries(some, st.sampled_from(["numeric", "categorical", "boolean", "date"]), max_size=3),
        "data.scaling": st.sampled_from(["quantile", "robust"]),
        "split.method": st.sampled_from(["random", "stratified", "grouped", "time"]),
        "split.group": some,
        "split.time": some,
        "split.gap": st.sampled_from([1, 5, "1d", "12h"]),
        "split.folds": st.sampled_from([2, 3, 50]),
        "split.objective": st.just("folds"),
        "split.validation": st.sampled_from([0.01, 0.5]),
        "train.stopping": st.just("apart"),
        "train.class_weight": st.just("balanced"),
        "model.family": st.sampled_from(["mlp", "resnet", "realmlp", "tabm", "ft_transformer"]),
    }
    for key in random.sample(list(odd), random.choice([0, 0, 1, 1, 2, 3])):
        found[key] = draw(odd[key])
    return found


def _writable(text: str) -> bool:
    return not any(one == "\0" or "\ud800" <= one <= "\udfff" for one in text)


N_ROWS = dice.map(lambda random: random.choice([0, 1, 9, 10, 12, 20, *[40] * 20]))


@st.composite
def _csv(draw: st.DrawFn) -> Case:
    random, names, n_rows = draw(dice), draw(SOME_NAMES), draw(N_ROWS)
    columns = [draw(_column(n_rows)) for _ in names]
    if random.random() < 0.8:  # something that can be predicted
        columns[-1] = draw(_target(n_rows))
    name = random.choice([*["table.csv"] * 5, "TABLE.CSV", "table.tsv", *PACKED])
    text = io.StringIO()
    writer = csv.writer(
        text,
        delimiter="\t" if name.endswith(".tsv") else random.choice(",,,,,;\t|"),
        lineterminator=random.choice([*["\n"] * 8, "\r\n", "\r"]),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        doublequote=random.random() < 0.95,
        escapechar="\\",
    )
    writer.writerow(names)
    writer.writerows(zip(*columns, strict=True))
    content = text.getvalue().encode(random.choice([*["utf-8"] * 19, "utf-16"]), "surrogatepass")
    if random.random() < 0.1:
        content = draw(_damaged(content))
    if pack := PACKED.get(name):
        content = pack(content)
        if random.random() < 0.2:
            content = draw(_damaged(content))
    return Case(name, content, draw(_params(names)))


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("table.csv", content)
    return file.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "table.csv.gz": lambda content: gzip.compress(content, mtime=0),
    "table.csv.bz2": bz2.compress,
    "table.csv.xz": lzma.compress,
    "table.csv.zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    "table.zip": _zipped,
}


@st.composite
def _json_lines(draw: st.DrawFn) -> Case:
    """Return JSON Lines, of which some rows lack a key; surrogates are there as a program writes them."""
    random, names, n_rows = draw(dice), draw(SOME_NAMES), draw(N_ROWS)
    columns = [draw(_column(n_rows)) for _ in names]
    if random.random() < 0.8:
        columns[-1] = draw(_target(n_rows))
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    for row in rows:
        if random.random() < 0.05:
            row.pop(random.choice(names), None)
    content = "\n".join(map(json.dumps, rows)).encode()
    if random.random() < 0.1:
        content = draw(_damaged(content))
    return Case(random.choice(["table.jsonl", "table.ndjson"]), content, draw(_params(names)))


@st.composite
def _workbook(draw: st.DrawFn) -> Case:
    """Return a workbook with cells of all types that a sheet can hold."""
    import openpyxl

    random, names, n_rows = draw(dice), draw(SOME_NAMES), draw(st.sampled_from([0, 1, 12, 40, 40, 40]))
    kinds = [draw(_column(n_rows)) for _ in names]
    kinds[0] = _drawn(draw, st.one_of(DATES, st.times(), st.booleans(), st.none(), st.integers(-9, 9)), n_rows, 0)
    if random.random() < 0.8:
        kinds[-1] = draw(_target(n_rows))
    sheet = (book := openpyxl.Workbook()).active
    assert sheet is not None
    for row in [names, *zip(*kinds, strict=True)]:
        sheet.append([_of_a_sheet(cell) for cell in row])
    file = io.BytesIO()
    book.save(file)
    content = file.getvalue()
    if random.random() < 0.1:
        content = draw(_damaged(content))
    return Case("table.xlsx", content, draw(_params(names)))


def _of_a_sheet(cell: Any) -> Any:
    """Return a cell that openpyxl writes: no control characters, no infinities, no dates before its calendar."""
    if isinstance(cell, str):
        return "".join(one for one in cell if one.isprintable() and not "\ud800" <= one <= "\udfff")[:300]
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    return cell if not isinstance(cell, dt.datetime) or cell.year > 1900 else None


@st.composite
def _column(draw: st.DrawFn, n: int) -> list[Any]:
    """Return a column of a CSV: of one kind, of few values or of a mixture."""
    random = draw(dice)
    kind = random.choice(["numbers", "numbers", "few", "few", "dates", "texts", "floats", "mixed", "constant", "empty"])
    few = draw(st.lists(TEXTS, min_size=2, max_size=3))
    cells: dict[str, st.SearchStrategy[Any]] = {
        "numbers": CALM,
        "few": st.sampled_from(few),
        "dates": DATES.map(str),
        "texts": TEXTS,
        "floats": FLOATS,
        "mixed": st.one_of(TEXTS, FLOATS, INTS),
        "constant": st.just(few[0]),
        "empty": st.just(""),
    }  # fmt: skip
    return _drawn(draw, cells[kind], n, random.randrange(99))


@st.composite
def _target(draw: st.DrawFn, n: int) -> list[Any]:
    """Return classes that are all there in every part, or numbers."""
    random = draw(dice)
    rng = np.random.default_rng(random.randrange(99))
    if random.random() < 0.3:
        return [*rng.normal(size=n).tolist()]
    labels = draw(
        st.lists(TEXTS.filter(lambda text: text.strip() not in ("", "NA", "nan")), min_size=2, max_size=3, unique=True)
    )
    return [labels[i % len(labels)] for i in range(n)]


def _drawn(draw: st.DrawFn, cells: st.SearchStrategy[Any], n: int, seed: int) -> list[Any]:
    """Return n cells, of which no more than a dozen are drawn: the others repeat them, so that a case is soon made."""
    some = [draw(cells) for _ in range(min(n, 12))]
    return (
        [*some, *(some[i] for i in np.random.default_rng(seed).integers(0, len(some), n - len(some)))] if some else []
    )


def _typed() -> list[tuple[pa.DataType, st.SearchStrategy[Any]]]:
    small = st.integers(-100, 100)
    return [
        (pa.float64(), CALM),
        (pa.float64(), CALM),
        (pa.float64(), FLOATS),
        (pa.float32(), st.floats(-3, 3, width=32)),
        (pa.float16(), st.floats(-3, 3, width=16)),
        (pa.int64(), INTS),
        (pa.int64(), st.integers(0, 2)),
        (pa.int8(), small),
        (pa.uint64(), st.integers(0, 2**64 - 1)),
        (pa.bool_(), st.booleans()),
        (pa.string(), TEXTS),
        (pa.string(), st.sampled_from(["u", "v", "w"])),
        (pa.string(), st.sampled_from(["u", "v", "w"])),
        (pa.large_string(), TEXTS),
        (pa.binary(), st.binary(max_size=4)),
        (pa.binary(3), st.binary(min_size=3, max_size=3)),
        (pa.decimal128(38, 4), st.decimals(-1000, 1000, places=4)),
        (pa.decimal256(70, 0), st.integers(-(10**60), 10**60).map(decimal.Decimal)),
        (pa.timestamp("us"), DATES),
        (pa.timestamp("s"), st.datetimes()),
        (pa.timestamp("ns", "Europe/Paris"), DATES),
        (pa.timestamp("us", "+05:30"), DATES),
        (pa.date32(), st.dates()),
        (pa.date64(), st.dates()),
        (pa.time32("s"), st.times().map(lambda time: time.replace(microsecond=0))),
        (pa.time64("us"), st.times()),
        (pa.duration("us"), st.timedeltas(dt.timedelta(-(10**6)), dt.timedelta(10**6))),
        (pa.null(), st.none()),
        (pa.list_(pa.int64()), st.lists(small, max_size=2)),
        (pa.list_(pa.string()), st.lists(TEXTS, max_size=2)),
        (pa.struct([("p", pa.int64())]), st.fixed_dictionaries({"p": small})),
        (pa.map_(pa.string(), pa.int64()), st.lists(st.tuples(st.sampled_from("pq"), small), max_size=2)),
        (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["u", "v", "w"])),
        (pa.dictionary(pa.int32(), pa.int64()), small),
    ]


@st.composite
def _parquet(draw: st.DrawFn) -> Case:
    random, names, n_rows = draw(dice), draw(SOME_NAMES), draw(N_ROWS)
    kinds = _typed()
    arrays = []
    for number, _ in enumerate(names):
        kind, cells = random.choice(kinds)
        values = _drawn(draw, cells, n_rows, random.randrange(99))
        if number == len(names) - 1 and random.random() < 0.8:
            kind, values = pa.string(), list(map(str, draw(_target(n_rows))))
        elif random.random() < 0.3:
            values = [None if place % 5 == 0 else value for place, value in enumerate(values)]
        arrays.append(pa.array(values, kind))
    table = pa.Table.from_arrays(arrays, names=[name.encode("utf-8", "replace").decode() for name in names])
    metadata = random.choice([*[None] * 40, b"{}", b"{", b'{"index_columns": ["a"]}', b"[]", b"\xff"])
    if metadata is not None:
        table = table.replace_schema_metadata({b"pandas": metadata})
    return draw(_written(table, names))


@st.composite
def _from_pandas(draw: st.DrawFn) -> Case:
    """Return parquet as pandas writes it, with an index of any kind."""
    random, n = draw(dice), draw(N_ROWS)
    rng = np.random.default_rng(random.randrange(99))
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    frame = pd.DataFrame(rng.normal(size=(n, len(names))), columns=names)
    frame["y"] = rng.choice(["u", "v"], n)
    how = random.choice(["named", "same", "twice", "dates", "many", "columns", "numbers", "offset", "levels"])
    if how == "named":
        frame.index = pd.Index(rng.integers(0, 3, n), name=draw(NAMES))
    elif how == "same":
        frame.index = pd.Index(rng.normal(size=n), name=names[0])
    elif how == "twice":
        frame.index = pd.Index(["i"] * n)
    elif how == "dates":
        frame.index = pd.date_range("2024-01-01", periods=n)
    elif how == "many":
        frame.index = pd.MultiIndex.from_arrays([range(n), range(n)], names=[draw(NAMES), None])
    elif how == "columns":
        frame.columns = pd.MultiIndex.from_arrays([frame.columns, [f"{i}" for i in range(frame.shape[1])]])
    elif how == "numbers":
        frame.columns = range(frame.shape[1])
    elif how == "offset":
        frame.index = pd.RangeIndex(5, 5 + 2 * n, 2)
    else:
        frame["y"] = frame["y"].astype("category")
    table = pa.Table.from_pandas(frame)
    return draw(_written(table, [*names, "y"]))


@st.composite
def _written(draw: st.DrawFn, table: pa.Table, names: list[str]) -> Case:
    file = io.BytesIO()
    try:
        pq.write_table(table, file)
    except (pa.ArrowException, OSError):  # of a type that parquet does not have
        pq.write_table(pa.table({"a": [1.0]}), file)
    content = file.getvalue()
    if draw(dice).random() < 0.05:
        content = draw(_damaged(content))
    return Case("table.parquet", content, draw(_params(names)))


@st.composite
def _damaged(draw: st.DrawFn, content: bytes) -> bytes:
    found = bytearray(content or b"\0")
    for _ in range(draw(st.integers(0, 4))):
        found[draw(st.integers(0, len(found) - 1))] = draw(st.integers(0, 255))
    return bytes(found[: draw(st.integers(0, len(found)))] if draw(st.booleans()) else found)


RUBBISH = st.builds(
    Case,
    st.sampled_from([*(f"table{ending}" for ending in sources.ENDINGS), "table.txt"]),
    st.binary(max_size=99),
    st.just({}),
)
KINDS = [
    *(_csv(), _csv(), _csv(), _csv(), _parquet(), _parquet(), _parquet(), _from_pandas(), _from_pandas()),
    *(_json_lines(), _workbook(), RUBBISH),
]
CASES: st.SearchStrategy[Case] = dice.flatmap(lambda random: random.choice(KINDS))


SETTINGS = {
    "train.epochs": 1,
    "search.random.epochs": 1,
    "search.bayes.epochs": 1,
    "search.hyperband.min_epochs": 1,
    "budget.epochs": 2000,
}
SMALL = {"units": 8, "n_members": 2, "token_size": 8, "n_blocks": 1}


class Project:
    """A folder in which each case's table is written, ingested, split and learnt from."""

    def __init__(self, place: Path, predicts: bool = True) -> None:
        self.root, self._predicts = place, predicts
        place.mkdir()
        shutil.copyfile(ROOT / "dvc.yaml", place / "dvc.yaml")
        self._default = yaml.safe_load((ROOT / "params.yaml").read_text())

    def run(self, case: Case) -> Outcome:
        """Return what comes of a table."""
        for folder in ("data", "artifacts", ".work"):
            shutil.rmtree(self.root / folder, ignore_errors=True)
        (self.root / "data" / "raw").mkdir(parents=True)
        (self.root / "data" / "raw" / case.name).write_bytes(case.content)
        content = json.loads(json.dumps(self._default))
        for key, value in {**SETTINGS, "data.source": f"data/raw/{case.name}", **case.params}.items():
            *sections, name = key.split(".")
            place = content
            for section in sections:
                place = place[section]
            place[name] = value
        (self.root / "params.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        trainables._loaded.cache_clear()
        return outcome(self._learn)

    def _learn(self) -> None:
        for name in ("ingest", "split", "budget"):
            run.run_stage(self.root, name, reporter=NullReporter(), tracker=NullTracker(), executor=Here())
        params = load_params(self.root)
        stage = Stage(
            name="search_random",
            root=self.root,
            params=params,
            fingerprint="f" * 64,
            pipeline="p" * 64,
            executor=Here(),
            tracker=NullTracker(),
            reporter=NullReporter(),
        )
        default = trainables.full_space(stage).default
        config = {name: SMALL.get(name, value) for name, value in default.items()}
        trial = Trial(study=stage.name, number=0, generation=0, config=config, resource=1)
        store = self.root / ".work" / "checkpoints"
        result = trainables.of_stage(stage, store)(trial)
        assert result.state is not State.FAILED, result.error
        checkpoint = checkpoints.read([store], trial.key)
        if checkpoint is None or params.split.n_folds > 1 or not self._predicts:
            return
        self._predict(params.model.family, config, dict(checkpoint.weights()), params.data.scaling)

    def _predict(self, family: str, config: Mapping[str, Any], weights: Any, scaling: Any) -> None:
        """Store the network as a model, load it, and predict the raw file by it, twice."""
        split = self.root / "data" / "split"
        rows = pd.read_parquet(split / "train.parquet")
        problem = trainables.read_problem(split)
        fitted = preprocessing.fit(rows, trainables.read_schema(split), problem, scaling)
        inputs = models.inputs_of(fitted.transform(rows), problem, fitted.cardinalities)
        networks = [model_store.Network(family, config, models.build(family, config, inputs, 0).state_dict())]
        assert weights
        folder = self.root / "artifacts" / "model"
        model_store.save(folder, networks=networks, inputs=inputs, preprocessor=fitted)
        model = model_store.load(folder)
        table = self.root / load_params(self.root).data.source
        keep = [name for name in model.columns if name not in ("prediction",)][:1]
        n_rows = predict.predict(model, table, self.root / "artifacts" / "found.csv", keep)
        assert predict.predict(model, table, self.root / "artifacts" / "found.parquet") == n_rows
        found = pd.read_parquet(self.root / "artifacts" / "found.parquet")
        assert len(found) == n_rows
        assert pipeline.hash_path(folder) != "missing"
