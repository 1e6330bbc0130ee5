"""Trials as a table: the parquet file that a search stage hands on, and back again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
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
]


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
    """Return the results that `write` was given; their `seconds` are 0."""
    return [_result(row) for row in pq.read_table(path).to_pylist()]


def frame(results: Sequence[Result], metric: str) -> pd.DataFrame:
    """Return one row a result, each hyperparameter in a column of its own named `config.<name>`."""
    rows = [_row(result, metric) for result in results]
    return pd.DataFrame(
        [{**row, **{f"config.{name}": value for name, value in json.loads(row["config"]).items()}} for row in rows]
    )


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
    }


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
        error=row["error"],
    )
