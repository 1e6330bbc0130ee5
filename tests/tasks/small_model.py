"""A small model of each task, made in a moment, and raw rows of every kind to try it on."""

from pathlib import Path

import numpy as np
import pandas as pd

from hone import models
from hone.data import preprocessing, problem, schema
from hone.data.preprocessing import Preprocessor
from hone.models import InputSpec
from tasks import model_store

TARGETS = {"binary": "left", "multiclass": "plan", "regression": "price"}
N = 80


def raw_rows(seed: int = 0) -> pd.DataFrame:
    """Return rows as a file would give them: floats, integers, texts, text of numbers, booleans, dates, codes, gaps."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": random.normal(50, 10, N),
            "rooms": random.integers(1, 9, N),
            "charge": pd.Series([f"{value:.2f}" for value in random.uniform(1, 99, N)], dtype="str"),
            "town": pd.Series(random.choice(["Ulm", "Köln", "Bonn"], N), dtype="str"),
            "garden": random.choice([True, False], N),
            "built": pd.Series([f"19{year}-05-0{day}" for year, day in random.integers([20, 1], [99, 9], (N, 2))]),
        }
    )
    score = frame["size"] / 10 + frame["rooms"] + 3 * frame["garden"]
    frame["price"] = score + random.normal(0, 0.1, N)
    frame["plan"] = pd.cut(score, 3, labels=["a", "b", "c"]).astype(str)
    frame["left"] = (score > score.median()).map({True: "yes", False: "no"})
    frame["zip"] = pd.Series(random.choice(["00701", "01067", "10115"], N), dtype="str")
    frame.loc[3, "size"] = np.nan
    frame.loc[5, "town"] = None
    frame.loc[7, "charge"] = " "
    return frame


def strange_rows(task: str, seed: int = 1) -> pd.DataFrame:
    """Return rows without a target, with gaps in every column and categories that training rows did not have."""
    frame = features(raw_rows(seed), task).head(12).astype({"rooms": "float64", "garden": object})
    for row, name in enumerate(frame.columns):
        frame.loc[row, name] = None
    frame.loc[8, "town"] = "Atlantis"
    frame.loc[9, "charge"] = "free"
    return frame


def features(frame: pd.DataFrame, task: str) -> pd.DataFrame:
    return frame.drop(columns=list(TARGETS.values()))


def fitted(task: str, rows: pd.DataFrame | None = None) -> tuple[Preprocessor, InputSpec]:
    rows = raw_rows() if rows is None else rows
    rows = pd.concat([features(rows, task), rows[TARGETS[task]]], axis=1)
    found = problem.infer(rows[TARGETS[task]], task=task)
    fit = preprocessing.fit(rows, schema.infer(rows, TARGETS[task]), found)
    return fit, models.inputs_of(fit.transform(rows), found, fit.cardinalities)


def write(
    folder: Path, task: str, seed: int = 0, family: str = "mlp", networks: int = 2, rows: pd.DataFrame | None = None
) -> Path:
    """Write a model whose networks are as they were initialised, which is as good as trained to a store."""
    preprocessor, inputs = fitted(task, rows)
    config = models.default_space(family).default
    built = [models.build(family, config, inputs, seed + number).state_dict() for number in range(networks)]
    stored = [model_store.Network(family, config, weights) for weights in built]
    model_store.save(folder, networks=stored, inputs=inputs, preprocessor=preprocessor)
    return folder
