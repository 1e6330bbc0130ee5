"""Trials as a table: the parquet file that a search stage hands on, and back again."""

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hone import metrics
from hone.trial import Result, State, Trial, ranked

_COLUMNS = [
    ("study", pa.string()),
    ("number", pa.int64()),
    ("key", pa.string()),
    ("generation", pa.int64()),
    ("origin", pa.string()),
    ("parent", pa.string()),
    ("resource", pa.int64()),
    ("rows", pa.float64()),
    ("replicate", pa.int64()),
    ("fold", pa.int64()),
    ("state", pa.string()),
    ("objective", pa.float64()),
    ("value", pa.float64()),
    ("best_epoch", pa.int64()),
    ("cost", pa.float64()),
    ("error", pa.string()),
    ("config", pa.string()),
    ("metrics", pa.string()),
    ("curve", pa.list_(pa.float64())),
    ("bar", pa.list_(pa.float64())),
    ("folds", pa.list_(pa.list_(pa.float64()))),
]
_LATER = ("bar", "folds")  # a table of an earlier version lacks these
_NULLABLE = ("parent", "fold", "value", "error")


def write(path: Path, results: Sequence[Result], metric: str) -> None:
    """Write one row a result, without its seconds: equal work gives equal bytes.

    `objective` and `curve` are minimised; `value` is the metric as people know it. `config` and `metrics` are JSON.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    pq.write_table(table(results, metric), partial)
    partial.replace(path)


def table(results: Sequence[Result], metric: str) -> pa.Table:
    """Return what `write` writes."""
    rows = [_row(result, metric) for result in results]
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in _COLUMNS})


def read(path: Path) -> list[Result]:
    """Return the results that `write` was given; their `seconds` are 0, and `losses` empty."""
    return [_result(row) for row in pq.read_table(path).to_pylist()]


def foreign(path: Path) -> tuple[pa.Table, list[Result]]:
    """Return what `table` makes of a file that anybody may have written, and its results.

    Raises ValueError, naming the column or the row, if `write` cannot have written it.
    """
    found = pq.read_table(path)
    for name, kind in _COLUMNS:
        if name in _LATER and name not in found.column_names:
            found = found.append_column(name, pa.array([[]] * len(found), kind))
        if found.column_names.count(name) != 1:
            raise ValueError(f"{found.column_names.count(name)} columns are named {name}")
        if (given := found.schema.field(name).type) != kind:
            raise ValueError(f"column {name} is of type {given} and not {kind}")
    columns = found.select([name for name, _ in _COLUMNS]).cast(pa.schema(_COLUMNS))
    results = []
    for i, row in enumerate(columns.to_pylist(), 1):
        try:
            results.append(_checked(row))
        except ValueError as error:
            raise ValueError(f"row {i}: {error}") from None
    return columns, results


def top(results: Sequence[Result]) -> list[Result]:
    """Return the complete results, best first, those trained furthest before all others.

    Scores after few epochs or on part of the rows say less than scores after many on all.
    """
    return sorted(ranked(results), key=lambda result: (-result.trial.resource, -result.trial.rows, result.objective))


def _row(result: Result, metric: str) -> dict[str, Any]:
    trial = result.trial
    return {
        "study": trial.study,
        "number": trial.number,
        "key": trial.key,
        "generation": trial.generation,
        "origin": trial.origin,
        "parent": trial.parent,
        "resource": trial.resource,
        "rows": trial.rows,
        "replicate": trial.replicate,
        "fold": trial.fold,
        "state": str(result.state),
        "objective": result.objective,
        "value": metrics.value(metric, result.objective) if result.state is State.COMPLETE else None,
        "best_epoch": result.best_epoch,
        "cost": result.cost,
        "error": result.error,
        "config": json.dumps(dict(trial.config), sort_keys=True),
        "metrics": json.dumps(dict(result.metrics), sort_keys=True),
        "curve": list(result.curve),
        "bar": list(trial.bar),
        "folds": [list(curve) for curve in result.folds],
    }


def _checked(row: dict[str, Any]) -> Result:
    """Return a row's result; ValueError if it is none that a search can take."""
    for name, value in row.items():
        if value is None and name not in _NULLABLE:
            raise ValueError(f"{name} is null")
    for name in ("curve", "bar", "folds"):
        if None in row[name] or (name == "folds" and None in itertools.chain(*row[name])):
            raise ValueError(f"{name} holds a null")
    try:
        result = _result(row)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    trial = result.trial
    if not isinstance(trial.config, dict) or not all(map(_is_scalar, trial.config.values())):
        raise ValueError(f"config {row['config'][:40]} is no JSON object of numbers, words and truth values")
    if not isinstance(result.metrics, dict):
        raise ValueError(f"metrics {row['metrics'][:40]} is no JSON object")
    if trial.resource < 1:
        raise ValueError(f"resource {trial.resource} is below 1")
    if not 0 < trial.rows <= 1:
        raise ValueError(f"rows {trial.rows:g} is not above 0 and at most 1")
    if result.state is State.COMPLETE and not math.isfinite(result.objective):
        raise ValueError(f"objective {result.objective:g} of a complete trial is not finite")
    return result


def _is_scalar(value: object) -> bool:
    if isinstance(value, int):
        return value.bit_length() < 64  # what a table of numbers can hold
    return isinstance(value, str) or (isinstance(value, float) and math.isfinite(value))


def _result(row: dict[str, Any]) -> Result:
    trial = Trial(
        study=row["study"],
        number=row["number"],
        generation=row["generation"],
        config=json.loads(row["config"]),
        resource=row["resource"],
        parent=row["parent"],
        rows=row["rows"],
        replicate=row["replicate"],
        fold=row["fold"],
        bar=tuple(row["bar"]),
        origin=row["origin"],
    )
    return Result(
        trial=trial,
        state=State(row["state"]),
        objective=row["objective"],
        curve=tuple(row["curve"]),
        best_epoch=row["best_epoch"],
        metrics=json.loads(row["metrics"]),
        cost=row["cost"],
        folds=tuple(map(tuple, row["folds"])),
        error=row["error"],
    )
