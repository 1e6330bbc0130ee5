"""What a model's folder may hold: it may have been written by a stranger, and nothing is believed unchecked."""

import json
import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hone import metrics
from hone.data.schema import DAYS, TIMES
from hone.errors import UserError, shortened

LARGEST = 1 << 28
"""Bytes of model.json: levels of many categories, and no more."""
MOST_NETWORKS = 10_000
# What a preprocessor is made of, as (module, class); skops itself would take any class of scikit-learn's.
PREPROCESSOR_TYPES = frozenset(
    {
        ("builtins", "dict"),
        ("builtins", "list"),
        ("builtins", "str"),
        ("builtins", "tuple"),
        ("numpy", "dtype"),
        ("numpy", "float64"),
        ("numpy", "ndarray"),
        ("sklearn.impute._base", "MissingIndicator"),
        ("sklearn.impute._base", "SimpleImputer"),
        ("sklearn.pipeline", "FeatureUnion"),
        ("sklearn.pipeline", "Pipeline"),
        ("sklearn.preprocessing._data", "QuantileTransformer"),
        ("sklearn.preprocessing._data", "RobustScaler"),
        ("sklearn.preprocessing._data", "StandardScaler"),
        ("sklearn.preprocessing._encoders", "OrdinalEncoder"),
    }
)

Label = str | bool | int | float
Whole = Annotated[int, Field(ge=0, lt=2**31)]
Shape = Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(min_length=3, max_length=3)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Transform(_Part):
    power: float
    center: float
    scale: float
    mean: float
    std: float
    low: float
    high: float


class _Network(_Part):
    family: str
    config: dict[str, bool | int | float | str]
    weight: Annotated[float, Field(ge=0)]
    transform: _Transform | None


class _Picture(_Part):
    shape: Shape
    mean: list[float]
    std: list[float]


class _Inputs(_Part):
    n_num: Whole
    cardinalities: list[Annotated[int, Field(ge=1, lt=2**31)]]
    n_outputs: Annotated[int, Field(ge=1, lt=2**31)]
    bins: list[list[float]]
    picture: _Picture | None = None
    quartiles: list[Annotated[list[float], Field(min_length=3, max_length=3)]] = []


class _Column(_Part):
    name: str
    kind: Literal["numeric", "categorical", "boolean", "date", "image", "dropped"]
    reason: str = ""
    levels: list[str] = []
    parts: list[Literal["days", "year", "month", "weekday", "hour"]] = []
    pattern: str | None = None
    shape: Shape | None = None


class _Schema(_Part):
    columns: list[_Column]


class _Problem(_Part):
    task: Literal["binary", "multiclass", "regression"]
    target: str
    metric: str
    classes: Annotated[list[Label], Field(min_length=2)] | None
    positive_index: Whole | None


class _Preprocessor(_Part):
    columns: _Schema = Field(alias="schema")
    problem: _Problem
    cardinalities: list[Annotated[int, Field(ge=1, lt=2**31)]]
    target_mean: float
    target_std: Annotated[float, Field(gt=0)]


class _Description(_Part):
    format: int
    networks: Annotated[list[_Network], Field(min_length=1, max_length=MOST_NETWORKS)]
    temperature: Annotated[float, Field(gt=0)]
    threshold: float | None
    inputs: _Inputs
    preprocessor: _Preprocessor
    sha256: dict[str, str] = {}


def description(path: Path, newest: int) -> dict[str, Any]:
    """Return what a model.json says, in today's format.

    newest: the format that this Hone writes; format 1 is read, too. Raises UserError for a file that is broken, in
    another format, or says what no model of Hone's can be.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"{path}: has more than {LARGEST >> 20} MB, and describes no model of Hone's")
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not a model's description ({_short(error)}); give a model of Hone's") from None
    if not isinstance(content, dict) or "format" not in content:
        raise UserError(f"{path}: not a model's description; give a model of Hone's")
    if content["format"] == 1:
        content = _of_format_1(content)
    elif content["format"] != newest:
        raise UserError(
            f"{path}: format {shortened(repr(content['format']), 40)}, not {newest}; use the Hone that wrote it"
        )
    try:
        found = _Description.model_validate(content)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        where = ".".join(map(str, detail["loc"]))
        raise UserError(
            f"{path}: {shortened(where, 80)}: {shortened(repr(detail['input']), 60)} cannot be ({detail['msg']});"
            " give a model of Hone's"
        ) from None
    if wrong := _contradiction(found):
        raise UserError(f"{path}: {wrong}; give a model of Hone's")
    described: dict[str, Any] = content
    return described


def check_preprocessor(path: Path) -> None:
    """Raise UserError unless a skops file is packed, and of the types, that a preprocessor of Hone's is."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            # Hone packs without compression: what unpacks to more than the file holds was made to fill a memory.
            if any(one.compress_type != zipfile.ZIP_STORED or one.compress_size != one.file_size for one in members):
                raise ValueError("it is compressed, and Hone's are not")
            if sum(one.file_size for one in members) > path.stat().st_size:
                raise ValueError("it says that it holds more than there is in it")
            types = set(_types(json.loads(archive.read("schema.json"))))
    except Exception as error:  # of any type: what a broken zip makes a reader do is not foreseen
        raise UserError(f"{path}: not a preprocessor of Hone's ({_short(error)}); do not use this model") from None
    if strange := sorted(".".join(map(str, one)) for one in types - PREPROCESSOR_TYPES):
        raise UserError(
            f"{path}: refused, it holds types that no preprocessor of Hone's needs "
            f"({shortened(', '.join(strange), 200)}); do not use this model"
        )


def _types(value: Any) -> list[tuple[Any, Any]]:
    """Return every (module, class) that a skops file asks for."""
    if isinstance(value, list):
        return [one for item in value for one in _types(item)]
    if not isinstance(value, dict):
        return []
    own = [(value.get("__module__"), value.get("__class__"))] if {"__module__", "__class__"} & set(value) else []
    return [*own, *(one for item in value.values() for one in _types(item))]


def _of_format_1(content: dict[str, Any]) -> dict[str, Any]:
    """Return what was one family and config for all networks, and no temperature or threshold, as it is said today."""
    count = content.get("n_networks")
    if not isinstance(count, int) or not 0 < count <= MOST_NETWORKS:
        count = 0  # which the check of the networks refuses
    network = {"family": content.get("family"), "config": content.get("config"), "weight": 1.0, "transform": None}
    kept = {name: value for name, value in content.items() if name not in ("family", "config", "n_networks")}
    return {**kept, "networks": [network] * count, "temperature": 1.0, "threshold": None}


def _contradiction(found: _Description) -> str:
    """Return what in a description cannot go together; nothing if all can."""
    problem, inputs, columns = found.preprocessor.problem, found.inputs, found.preprocessor.columns.columns
    n_classes = len(problem.classes or ())
    patterns = {day + time for day in DAYS for time in TIMES}
    if problem.metric not in metrics.METRICS:
        return f"there is no metric {problem.metric!r}"
    if (problem.task == "regression") != (problem.classes is None) or (problem.task == "binary" and n_classes != 2):
        return f"a {problem.task} problem with {n_classes} classes"
    if problem.positive_index is not None and problem.positive_index >= n_classes:
        return f"class number {problem.positive_index} of {n_classes}"
    if inputs.n_outputs != max(1, n_classes):
        return f"{inputs.n_outputs} outputs for {n_classes} classes"
    if len(inputs.bins) != inputs.n_num or any(len(edges) < 2 for edges in inputs.bins):
        return f"{inputs.n_num} numeric columns with bins of {len(inputs.bins)}"
    if len(inputs.quartiles) not in (0, inputs.n_num):
        return f"{inputs.n_num} numeric columns with quartiles of {len(inputs.quartiles)}"
    if inputs.cardinalities != found.preprocessor.cardinalities:
        return "the networks' categories are not the preprocessor's"
    if (
        inputs.picture is not None
        and not len(inputs.picture.mean) == len(inputs.picture.std) == inputs.picture.shape[0]
    ):
        return "pictures with another number of channels"
    shapes = [column.shape for column in columns if column.kind == "image"]
    if shapes != ([inputs.picture.shape] if inputs.picture is not None else []) or any(
        shape is None or shape[0] not in (1, 3) for shape in shapes
    ):
        return "the networks' pictures are not the preprocessor's"
    if len({column.name for column in columns}) < len(columns):
        return "a column is there twice"
    if wrong := [column.pattern for column in columns if column.pattern is not None and column.pattern not in patterns]:
        return f"dates written as {wrong[0]!r}"
    if sum(network.weight for network in found.networks) <= 0:
        return "weights that add up to nothing"
    return ""


def _short(error: Exception) -> str:
    return shortened(" ".join(f"{error}".split()) or type(error).__name__, 120)
