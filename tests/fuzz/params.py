"""Params files as nobody should write them, and what `hone check` and `hone plan` do with one short of training."""

import copy
import shutil
import tempfile
import types
from collections.abc import Mapping
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import pandas as pd
import yaml
from hypothesis import strategies as st
from pydantic import BaseModel

from flows import check, plan, serve
from hone import models
from hone.models import FAMILIES
from hone.search.sobol import sobol
from tasks import split
from tasks.allowance import Allowance
from tasks.params import Params, load_params, parse_params, search_space
from tasks.tracking import OFF, uri
from tests.fuzz.harness import ROOT, Outcome, dice, outcome

MOST_LINES = 5  # of a refusal: one for each key
SLOW = 64  # an epoch budget and a space above these are not rehearsed, nor their networks built

WORDS = st.sampled_from(
    [
        "", " ", "y", "yes", "no", "on", "null", "~", "a", "house", "day", "mlp", "cnn", "auto", "tabm",
        "résumé", "表", "\n",
        "a\nb", "a\tb", "\x1b[31mred", "\u202eabc", "\ud800", "\0", "../../etc/passwd", "/etc/passwd", "data/raw",
        "data/raw/table.csv", "data/raw/other.csv", "data/raw/\0.csv", "sklearn:digits", "sklearn:",
        "x" * 300, "x" * 70000,
        "<script>alert(1)</script>", "os:system", ":", ":x", "x:", "..:x", "a b:c", "builtins:dict", "torch.nn:Linear",
        "10m", "1h30m", "0s", "-1s", "9" * 400 + "d", "1e400", "1e-4", ".inf", "nan", "0x10", "1_000", "٣m", "7d",
        "sqlite:///mlflow.db", "sqlite:///", "sqlite:////tmp", "postgresql://u:p@h/d", "http://", "http://h:x",
        "ftp://x", "none",
        "databricks", "http://[::1", "* * * * *", "0 2 * * *", "99 99 * * *", "0 0 31 2 *", "UTC", "Mars/Phobos",
        "data/warm_start/old.parquet", "data/start_from/old.safetensors", "data/warm_start/\0.parquet", "1" * 5000,
    ]
)  # fmt: skip
NUMBERS = st.one_of(
    st.sampled_from(
        [0, 1, -1, 2, 3, 8, 0.5, 0.2, 1.0, 1e-4, -0.0, 1e300, -1e308, 1e308, 5e-324, float("inf"), float("-inf"),
        float("nan")]
    ),
    st.sampled_from([2**31, 2**53 + 1, 2**63, 2**64, -(2**64), 10**30, 10**400]),
    st.integers(-3, 200),
    st.floats(0, 1),
)  # fmt: skip
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.text(max_size=8))
# Without NaN, which is never the same key again.
KEYS = st.one_of(WORDS, SCALARS, st.sampled_from(["low", "high", "type", "when"])).filter(lambda key: key == key)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
NAMES = sorted({name for family in FAMILIES.values() for name in family.space.names})


def _of_type(annotation: Any) -> st.SearchStrategy[Any]:
    """Return values that are right for a field, or nearly."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _of_type(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(_of_type, arguments))
    if origin is list:
        return st.lists(_of_type(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(WORDS, _of_type(arguments[1]), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return ANYTHING
    simple: Mapping[Any, st.SearchStrategy[Any]] = {
        int: st.one_of(st.integers(0, 12), NUMBERS),
        float: st.one_of(st.floats(0, 1), NUMBERS),
        str: WORDS,
        bool: st.booleans(),
        type(None): st.none(),
    }
    return simple.get(annotation, ANYTHING)


BOUNDS = st.one_of(NUMBERS, st.floats(-10, 10), st.integers(-2, 64), WORDS)
CONDITIONS = st.one_of(
    ANYTHING,
    st.dictionaries(st.sampled_from([*NAMES, "nothing"]), st.one_of(st.lists(SCALARS, max_size=3), ANYTHING),
        max_size=2),
    st.dictionaries(st.sampled_from(NAMES), st.fixed_dictionaries({"at_least": SCALARS}), min_size=1, max_size=1),
)  # fmt: skip
GOOD_SPECS = st.one_of(
    st.integers(1, 64),
    st.floats(0, 1),
    st.lists(st.one_of(st.integers(1, 8), st.floats(0, 1), WORDS), min_size=1, max_size=3),
    st.builds(
        lambda kind, ends, log: {"type": kind, "low": min(ends), "high": max(ends), "log": log},
        st.sampled_from(["float", "int"]),
        st.one_of(st.tuples(st.integers(1, 64), st.integers(1, 64)), st.tuples(st.floats(1e-6, 1), st.floats(1e-6, 1))),
        st.booleans(),
    ),
)
SPECS = st.one_of(
    GOOD_SPECS,
    ANYTHING,
    NUMBERS,
    st.lists(SCALARS, max_size=4),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["float", "int"]), "low": BOUNDS, "high": BOUNDS},
        optional={"log": st.one_of(st.booleans(), SCALARS), "default": ANYTHING, "when": CONDITIONS, "step": NUMBERS},
    ),
    st.fixed_dictionaries(
        {"type": st.one_of(st.just("categorical"), ANYTHING), "choices": st.one_of(st.lists(SCALARS), ANYTHING)},
        optional={"default": ANYTHING, "when": CONDITIONS},
    ),
)
SPACES = st.dictionaries(st.one_of(st.sampled_from(NAMES), KEYS), SPECS, max_size=4)


def _fields(model: type[BaseModel], above: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Return the annotation of each key of params, the sections themselves among them."""
    found: dict[tuple[str, ...], Any] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        found[*above, name] = kind
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= _fields(kind, (*above, name))
    return found


FIELDS = _fields(Params)
LEAVES = [path for path, kind in FIELDS.items() if not (isinstance(kind, type) and issubclass(kind, BaseModel))]


@st.composite
def _nearly(draw: st.DrawFn) -> dict[Any, Any]:
    """Return params with one value that may well be right, or one domain of a family's own hyperparameter."""
    content: dict[Any, Any] = copy.deepcopy(_defaults())
    random = draw(dice)
    if random.random() < 0.6:
        family = random.choice([name for name, found in FAMILIES.items() if found.takes == "table"])
        content["model"]["family"] = family
        spec = draw(st.one_of(GOOD_SPECS, GOOD_SPECS, SPECS))
        content["search"]["space"] = {random.choice(FAMILIES[family].space.names): spec}
    for path in random.sample(LEAVES, random.choice([0, 1, 1, 2])):
        place = content
        for part in path[:-1]:
            place = place[part]
        kind = FIELDS[path]
        right = {int: st.integers(0, 60), float: st.floats(0, 1), str: st.one_of(WORDS, st.text(max_size=5))}.get(kind)
        place[path[-1]] = draw(right if right is not None else _of_type(kind))
    if random.random() < 0.1 and isinstance(content["budget"], dict):
        content["budget"]["epochs"] = 60
        content["train"]["epochs"] = content["search"]["hyperband"]["min_epochs"] = 6
        content["search"]["random"]["epochs"] = content["search"]["bayes"]["epochs"] = 2
    return content


@st.composite
def _changed(draw: st.DrawFn) -> dict[Any, Any]:
    """Return params with a few odd values, unknown keys or an odd space among them."""
    content: dict[Any, Any] = copy.deepcopy(_defaults())
    random = draw(dice)
    for kind in random.choices(
        ["fit", "fit", "odd", "space", "space", "unknown", "missing"], k=random.choice([1, 1, 2, 3])
    ):
        path: tuple[Any, ...] = random.choice(list(FIELDS))
        if kind == "space":
            path, value = ("search", "space"), draw(SPACES)
            content["model"] = {"family": draw(st.sampled_from([*FAMILIES])), "start_from": None}
        elif kind == "unknown":
            path, value = (*path[:-1], draw(KEYS)), draw(ANYTHING)
        else:
            value = draw(_of_type(FIELDS[path]) if kind == "fit" else ANYTHING)
        place = content
        for part in path[:-1]:
            place = place.get(part) if isinstance(place, dict) else None  # type: ignore[assignment]
        if isinstance(place, dict):
            if kind == "missing":
                place.pop(path[-1], None)
            else:
                place[path[-1]] = value
    return content


@cache
def _defaults() -> dict[str, Any]:
    content = Params().model_dump(mode="json")
    content["data"] |= {"source": "data/raw/table.csv", "target": "y"}
    return content


def _dumped(content: Any) -> bytes:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode("utf-8", "surrogatepass")


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]\n" for i in range(1, 30))
SNIPPETS = st.sampled_from(
    [
        "!!python/object/apply:os.system ['touch hone-fuzz-was-here']", "!!python/name:os.system",
        "!!python/object:x.Y {}",
        "!!python/tuple [1, 2]", "!unknown x", "!!binary aGVsbG8=", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]",
        "!!timestamp x", "!!timestamp 2024-01-01", "2024-01-01", "2024-13-45", "2024-01-01T00:00:00Z", "!!int x",
        "!!int ''",
        "!!float x", "!!bool x", "!!null x", "!!str 1", "!!map []", "!!seq {}", "&a [*a]", "&a {x: *a}",
        "*nowhere", "<<: 1",
        "{<<: *nowhere}", "{? [a, b] : c}", "{? {a: b} : c}", "{a: 1, a: 2}", "{null: 1}", "{1: 2, true: 3}",
        '"\\ud800"', '"\\0"',
        '"\\x1b[2J"', '"\\u202e"', "0x" + "f" * 4000, "0b", "0o7", "1:30:00", "-.inf", ".NaN", "1e400", "1e-400",
        "1_0", "9" * 5000,
        "[" * 3000, "{a: " * 1500, "[" * 500 + "]" * 500, "- " * 2000, "|\n  text\n", ">-\n  folded", "'",
        '"', "{", "}", "@", "`", "%",
        "!", "&", "*", "? ", ": ", "---\n", "...\n", "--- a\n--- b\n", "\t", "\u2028", "\ufeff", "#", "{ }",
        "[,]", "~", "=", "''",
    ]
)  # fmt: skip


@st.composite
def _edited(draw: st.DrawFn) -> bytes:
    """Return the text of a params.yaml with odd YAML in it."""
    lines = _dumped(_defaults()).decode().splitlines()
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        key, colon, _ = line.partition(":")
        how = draw(st.sampled_from(["value", "value", "key", "double", "drop", "indent", "insert", "above"]))
        if how == "value":
            lines[at] = f"{key}{colon} {draw(SNIPPETS)}"
        elif how == "key":
            lines[at] = f"{draw(SNIPPETS)}: {line.strip()}"
        elif how == "double":
            lines.insert(draw(st.integers(0, len(lines))), line)
        elif how == "drop":
            del lines[at]
            lines = lines or [""]
        elif how == "indent":
            lines[at] = " " * draw(st.integers(0, 6)) + line.strip()
        elif how == "above":
            lines.insert(0, f"anchors: &anchors {draw(SNIPPETS)}")
        else:
            lines.insert(at, draw(st.one_of(SNIPPETS, st.text(max_size=20))))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    content = bytearray(_dumped(_defaults()))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content) - 1))
        content[at] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])


RUBBISH = st.one_of(
    st.binary(max_size=200),
    ANYTHING.map(_dumped),
    SNIPPETS.map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"", b"\n", b"#", b"\xef\xbb\xbfseed: 1\n", b"\xff\xfes\0e\0", b"\0", LAUGHS.encode()]),
    st.just(f"search:\n  space:\n{LAUGHS}".replace("\na", "\n    a").encode()),
)
NEARLY, CHANGED = _nearly().map(_dumped), _changed().map(_dumped)
KINDS = [NEARLY, NEARLY, NEARLY, NEARLY, CHANGED, CHANGED, _edited(), _edited(), _damaged(), RUBBISH]
FILES: st.SearchStrategy[bytes] = dice.flatmap(lambda random: random.choice(KINDS))


class Project:
    """A folder with a small table, whose params.yaml is written anew for each case."""

    def __init__(self, place: Path) -> None:
        self.root = place
        (place / "data" / "raw").mkdir(parents=True)
        for name in ("warm_start", "start_from"):
            (place / "data" / name).mkdir()
        shutil.copyfile(ROOT / "dvc.yaml", place / "dvc.yaml")
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
        frame["house"] = [f"h{i % 12}" for i in range(60)]
        frame["day"] = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
        frame["y"] = ["yes", "no"] * 30
        frame.to_csv(place / "data" / "raw" / "table.csv", index=False)
        frame.assign(y=rng.normal(size=60)).to_csv(place / "data" / "raw" / "other.csv", index=False)

    def run(self, content: bytes) -> Outcome:
        """Return what comes of a params.yaml of that content."""
        (self.root / "params.yaml").write_bytes(content)
        return outcome(self._look, MOST_LINES)

    def _look(self) -> None:
        """Do what `hone check`, and `hone plan` before it trains, do."""
        params = load_params(self.root)
        serve.check_schedule(params.schedule)
        if params.tracking.uri != OFF:
            uri.resolve(self.root, params.tracking.uri)
        assert parse_params(params.model_dump(mode="json")) == params
        checked = split.check(self.root, params)
        split.summary(checked)
        data = check.encoded(checked, params)
        space = models.fitted(search_space(params), data.inputs, len(data.train))
        for config in [space.default, *islice(sobol(space, 0), 8)] if space.dimension else [space.default]:
            assert space.contains(space.decode(space.encode(config))), config
            if all(not isinstance(value, int) or value <= SLOW for value in config.values()):
                models.build(params.model.family, config, data.inputs, 0)
        if params.model.family in FAMILIES and _is_quick(params):
            with tempfile.TemporaryDirectory() as name, plan._elsewhere(self.root, params) as place:
                assert name
                plan.rehearse(place, params, Allowance(params.budget.epochs))


def _is_quick(params: Params) -> bool:
    return params.budget.epochs <= SLOW and params.train.epochs <= SLOW
