"""Trials read back from MLflow: what a pipeline or a stage logged, as results."""

import ast
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hone import metrics
from hone.errors import UserError
from hone.trial import Result, State, Trial, Value
from tasks.tracking import uri as uris
from tasks.tracking.mlflow import KEY, KIND, PIPELINE, connect, find_runs
from tasks.tracking.uri import one_line
from tasks.warm_start import STAGES

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class Logged(NamedTuple):
    """The trials under a run. status: the run's, as MLflow spells it. whole: whether it is a pipeline's."""

    results: list[Result]
    metric: str
    status: str
    whole: bool


def read_trials(root: Path, uri: str | None, run: str) -> Logged:
    """Return the trials under an MLflow run of a pipeline or a stage; finalists' replays left out.

    Raises UserError if there is no such run, or no trials under it, or MLflow cannot be asked.
    """
    shown, store = f"mlflow:{run}", uris.resolve(root, uri)
    if (database := uris.sqlite_path(store)) is not None and not database.is_file():  # `connect` would make one
        raise UserError(f"{shown}: there is no database {database}; set tracking.uri to the one that has the run")
    try:
        client = connect(store)
        found = client.get_run(run)
        key = found.data.tags.get(KEY, "")
        below = find_runs(client, found.info.experiment_id, found.data.tags.get(PIPELINE, ""))
        runs = [
            each
            for each in below
            if each.data.tags.get(KIND) == "trial" and each.data.tags.get(KEY, "").startswith(f"{key}/")
        ]
        named = {name for each in runs for name in each.data.metrics if name in metrics.METRICS}
        results = [_result(client, each, name) for name in named for each in runs]
    except Exception as error:  # whatever the store raises
        raise UserError(
            f"{shown}: cannot be read from {uris.shown(store)} ({one_line(error)}); is it a run there?"
        ) from None
    if len(named) != 1:
        raise UserError(
            f"{shown}: no trials of one metric under it; give the run of a pipeline of Hone's, or of a stage"
        )
    searched = sorted((result for result in results if result.trial.study in STAGES), key=_order)
    return Logged(searched, named.pop(), found.info.status, "/" not in key)


def _order(result: Result) -> tuple[int, int]:
    # As in the pipeline: trials of a generation end, and are logged, in any order.
    return STAGES.index(result.trial.study), result.trial.number


def _result(client: "MlflowClient", run: Any, metric: str) -> Result:
    tags = run.data.tags
    study, _, number = tags[KEY].rpartition("/")[2].rpartition("-")
    steps = {point.step: point.value for point in client.get_metric_history(run.info.run_id, metric)}
    curve = tuple(
        metrics.objective(metric, steps[epoch]) if epoch in steps else math.nan
        for epoch in range(1, max(steps, default=0) + 1)
    )
    objective, rows = run.data.metrics.get("objective", math.inf), float(tags["hone.rows"])
    trial = Trial(
        study=study,
        number=int(number),
        generation=int(tags["hone.generation"]),
        config={name: _value(text) for name, text in run.data.params.items()},
        resource=int(tags["hone.resource"]),
        parent=tags.get("hone.parent"),
        rows=rows,
        origin=tags["hone.origin"],
    )
    return Result(
        trial=trial,
        state=State(tags["hone.state"]),
        objective=objective,
        curve=curve,
        best_epoch=curve.index(objective) + 1 if objective in curve else 0,
        cost=len(curve) * rows,
        error=tags.get("hone.error"),
    )


def _value(text: str) -> Value:
    """Return the value that was logged as its text; words are words."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, bool | int | float) else text
