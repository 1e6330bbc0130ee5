"""What the sealed rows say beyond scores, once they are opened: columns that matter, worst mistakes, drift."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone import metrics
from hone.data import cells
from hone.data.problem import Problem
from hone.data.schema import Schema
from hone.evaluation import calibration, mistakes
from hone.evaluation.drift import shifts
from hone.evaluation.permutation import permutation, telling
from hone.seeds import derive
from tasks import files, model_store, trainables
from tasks.model_store import Predictor
from tasks.stage import Stage

Floats = NDArray[np.float64]
FILE = "diagnostics.json"
MOST_ROWS = 2_000
"""Sealed rows that columns are shuffled in."""
MOST_COLUMNS = 40
REPEATS = 5
MOST_MISTAKES = 20
SHOWN_COLUMNS = 5
"""Columns shown beside a mistake: those that matter most."""
MOST_COMPARED = 20_000
"""Rows of each part that drift is measured on."""


def write(stage: Stage, problem: Problem, rows: pd.DataFrame, truth: NDArray[Any], prediction: Floats) -> None:
    """Write diagnostics.json on the sealed rows. prediction: of the delivered model."""
    folder = stage.path("artifacts", "retrain", "model")
    model = model_store.load(folder, [stage.params.model.family])
    seed = derive(stage.params.seed, "diagnostics")
    importance = _importance(problem, model, rows, truth, prediction, seed)
    schema = trainables.read_schema(stage.path("data", "split"))
    shown = [one["column"] for one in importance["columns"]] or [c.name for c in schema.columns if c.kind != "image"]
    numbers = pd.read_parquet(stage.path("data", "split", "sealed", "rows.parquet"))["row"].to_numpy()
    files.write_json(
        stage.artifact(FILE),
        {
            "importance": importance,
            "mistakes": _mistakes(problem, model, rows, truth, prediction, numbers, shown[:SHOWN_COLUMNS]),
            "drift": _drift(stage, problem, schema, rows, seed),
        },
    )


def _importance(
    problem: Problem, model: Predictor, rows: pd.DataFrame, truth: NDArray[Any], prediction: Floats, seed: int
) -> dict[str, Any]:
    """Return what shuffling each column costs; no columns for pictures, which are one column."""
    generator = np.random.default_rng(derive(seed, "rows"))
    chosen = np.sort(generator.permutation(len(rows))[:MOST_ROWS])
    some, actual = rows.iloc[chosen], truth[chosen]
    columns = () if model.preprocessor.schema.image is not None else model.columns

    def objective(predicted: Floats) -> float:
        shaped = calibration.for_metric(problem.metric, problem, predicted, model.threshold)
        return metrics.objective(problem.metric, metrics.score(problem.metric, problem, actual, shaped))

    asked = telling(some, columns, prediction[chosen], MOST_COLUMNS)
    some = some[list(columns)]
    found = permutation(model.proba, objective, some, asked, repeats=REPEATS, seed=seed) if asked else []
    return {
        "metric": problem.metric,
        "rows": len(some),
        "repeats": REPEATS,
        "of": len(columns),
        "columns": [{"column": one.column, "loss": one.loss, "deviation": one.deviation} for one in found],
    }


def _mistakes(
    problem: Problem,
    model: Predictor,
    rows: pd.DataFrame,
    truth: NDArray[Any],
    prediction: Floats,
    numbers: NDArray[Any],
    columns: Sequence[str],
) -> dict[str, Any]:
    """Return the worst rows: their numbers in the raw table, what they are, what was predicted, and some values."""
    if problem.classes is None:
        worst = mistakes.of_values(truth, prediction, MOST_MISTAKES)
        about = [
            {"actual": truth[row], "predicted": prediction[row], "residual": truth[row] - prediction[row]}
            for row in worst
        ]
    else:
        decided = model.decide(prediction)
        worst = mistakes.of_classes(truth, prediction, decided, MOST_MISTAKES)
        about = [
            {
                "actual": str(problem.classes[truth[row]]),
                "predicted": str(problem.classes[decided[row]]),
                "probability": prediction[row, decided[row]],
                "of_actual": prediction[row, truth[row]],
            }
            for row in worst
        ]
    texts = {name: _texts(rows[name].iloc[worst]) for name in columns}
    return {
        "columns": list(columns),
        "rows": [
            {"row": int(numbers[row]), **one, "values": [texts[name][place] for name in columns]}
            for place, (row, one) in enumerate(zip(worst, about, strict=True))
        ],
    }


def _texts(column: "pd.Series[Any]") -> list[str | None]:
    """Return values as text; None where missing."""
    missing = cells.missing(column)
    return [
        None if gone else f"{value:.6g}" if isinstance(value, float) else str(value)
        for value, gone in zip(column.tolist(), missing, strict=True)
    ]


def _drift(stage: Stage, problem: Problem, schema: Schema, sealed: pd.DataFrame, seed: int) -> list[dict[str, Any]]:
    """Return, for each column as the network sees it and for the target, how far validation and test rows are off."""
    generator = np.random.default_rng(derive(seed, "drift"))

    def part(frame: pd.DataFrame) -> pd.DataFrame:
        some = frame.iloc[np.sort(generator.permutation(len(frame))[:MOST_COMPARED])]
        numeric, categorical = schema.apply(some)
        target = some[problem.target]
        shown = cells.texts(target) if problem.classes is not None else cells.numbers(target)
        return pd.concat([numeric, categorical, shown], axis=1)

    training, validation = (
        pd.read_parquet(stage.path("data", "split", f"{name}.parquet")) for name in ("train", "validation")
    )
    parts = {"train": part(training), "validation": part(validation), "test": part(sealed)}
    found = {name: shifts(parts["train"], parts[name], seed=derive(seed, name)) for name in ("validation", "test")}
    return [
        {
            "column": of_test.column,
            "validation": of_validation.distance,
            "validation_chance": of_validation.chance,
            "test": of_test.distance,
            "test_chance": of_test.chance,
        }
        for of_validation, of_test in zip(found["validation"], found["test"], strict=True)
    ]
