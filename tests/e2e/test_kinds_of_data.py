"""Every kind of table goes through the whole pipeline, from raw file to report."""

import json

import numpy as np
import pandas as pd
import pytest

from tasks import model_store, pipeline, run
from tasks.reporting import NullReporter
from tasks.tracking.entry import NullTracker
from tests.inline import Here

pytestmark = pytest.mark.e2e
N = 160


def binary(rng):
    """Missing values, categories (one with a level that only late rows have), booleans, dates, numbers as text."""
    x = rng.normal(size=N)
    plan = rng.choice(["free", "basic", "pro"], N)
    table = pd.DataFrame(
        {
            "id": [f"c-{i:05d}" for i in range(N)],
            "income": np.where(rng.random(N) < 0.1, np.nan, x * 1000 + 5000),
            "charges": [" " if i % 23 == 0 else f"{abs(v):.2f}" for i, v in enumerate(x)],
            "plan": np.where(rng.random(N) < 0.1, None, plan),
            "active": rng.random(N) < 0.5,
            "since": pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 700, N), unit="D"),
            "constant": 1,
        }
    )
    table["churn"] = np.where(x + (plan == "pro") + rng.normal(size=N) / 3 > 0.5, "Yes", "No")
    table.loc[N - 1, "plan"] = "enterprise"
    return table, {"data.target": "churn", "model.family": "auto"}


def multiclass(rng):
    centres = rng.normal(size=(3, 4)) * 2
    y = rng.integers(0, 3, N)
    table = pd.DataFrame(centres[y] + rng.normal(size=(N, 4)), columns=list("abcd"))
    table["kind"] = np.array(["ash", "birch", "cedar"])[y]
    return table, {"data.target": "kind", "data.metric": "f1", "model.family": "resnet"}


def regression(rng):
    table = pd.DataFrame(rng.normal(size=(N, 3)), columns=["x", "y", "z"])
    table["town"] = rng.choice(["A", "B"], N)
    table["price"] = 100 + 30 * table["x"] - 10 * table["y"] ** 2 + 5 * (table["town"] == "A") + rng.normal(size=N)
    return table, {"data.target": "price"}


def grouped(rng):
    table, params = regression(rng)
    table["house"] = rng.integers(0, 20, N)
    return table, {
        **params,
        "split.method": "grouped",
        "split.group": "house",
        "split.folds": 3,
        "split.objective": "folds",
    }


def ordered_in_time(rng):
    table, params = multiclass(rng)
    table["day"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.permutation(N), unit="h")
    in_time = {"split.method": "time", "split.time": "day", "train.stopping": "apart"}
    return table, {**params, **in_time, "search.bayes.sampler": "gp"}


@pytest.mark.parametrize("kind", [binary, multiclass, regression, grouped, ordered_in_time])
def test_a_table_goes_through_the_whole_pipeline(make_project, kind):
    table, params = kind(np.random.default_rng(0))
    project = make_project({"data.source": "data/raw/table.csv", **params}, table, name=kind.__name__)
    for stage in pipeline.specs(project.root):  # in this process: it is the data that matters here
        run.run_stage(project.root, stage, reporter=NullReporter(), tracker=NullTracker(), executor=Here())

    evaluated = json.loads((project.root / "artifacts/evaluate/evaluation.json").read_text())
    assert evaluated
    assert 20_000 < (project.root / "artifacts/report/report.html").stat().st_size <= 2_000_000

    split = project.root / "data" / "split"
    parts = {name: pd.read_parquet(split / f"{name}.parquet") for name in ("train", "validation", "sealed/test")}
    assert sum(map(len, parts.values())) == N
    if "split.group" in params:
        houses = [set(part["house"]) for part in parts.values()]
        assert not houses[0] & houses[1]
        assert not (houses[0] | houses[1]) & houses[2]
    if "split.time" in params:
        days = [pd.to_datetime(part["day"]) for part in parts.values()]
        assert days[0].max() <= days[1].min()
        assert days[1].max() <= days[2].min()

    predictor = model_store.load(project.root / "artifacts/retrain/model")
    strange = table.drop(columns=params["data.target"]).tail(3).copy()
    strange.iloc[0, 1:3] = None
    if "plan" in strange:
        strange["plan"] = ["never seen", None, "free"]
    assert len(predictor.predict(strange)) == 3
    assert predictor.predict(strange)["prediction"].notna().all()
