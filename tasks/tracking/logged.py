"""What was logged, read back from MLflow: the trials of a pipeline or a stage as results, tags and files."""

import ast
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hone import metrics
from hone.errors import UserError
from hone.trial import Result, State, Trial, Value
from tasks.tracking import OFF
from tasks.tracking import uri as uris
from tasks.tracking.entry import as_tags
from tasks.tracking.mlflow import FACTS, KEY, KIND, NAME, PIPELINE, connect, find_runs, read_facts
from tasks.tracking.uri import one_line
from tasks.tracking.views import best
from tasks.warm_start import STAGES

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


class Logged(NamedTuple):
    """The trials under a run. status: the run's, as MLflow spells it. whole: whether it is a pipeline's."""

    results: list[Result]
    metric: str
    status: str
    whole: bool


@dataclass(frozen=True)
class LoggedRun:
    """A run of Hone's in MLflow. asked: its kind and name. pipeline: the id of the pipeline's run, its own or the one
    above it. key and tags: the pipeline's; facts are among the tags, as an earlier version logged them. stages: the ids
    of the stages' runs by name. stage: the one that was asked for, or whose trial was; None for a pipeline."""

    store: str
    asked: str
    pipeline: str
    key: str
    tags: Mapping[str, str]
    stages: Mapping[str, str]
    stage: str | None

    def trials(self, stage: str) -> list[Result] | None:
        """Return the trials of a stage, or None if it has none; of what is not logged, nothing is in them."""
        try:
            return _read_trials(self.store, self.stages[stage]).results
        except (UserError, KeyError):
            return None

    def file(self, name: str, stage: str | None = None) -> bytes | None:
        """Return the content of a file that the pipeline's run, or a stage's, keeps; None if it has none."""
        run = self.pipeline if stage is None else self.stages.get(stage)
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = connect(self.store).download_artifacts(run, name, folder) if run else ""
                return Path(found).read_bytes() if found else None
        except Exception:  # whatever the store raises; a file that is not there is the commonest
            return None


def read_run(root: Path, uri: str | None, run: str) -> LoggedRun:
    """Return a run of a pipeline, a stage or a trial. Raises UserError if there is none, or MLflow cannot be asked."""
    shown, store = f"mlflow:{run}", _store(root, uri, run)
    try:
        client = connect(store)
        found = client.get_run(run)
        key = found.data.tags.get(KEY, "")
        each = list(find_runs(client, found.info.experiment_id, found.data.tags.get(PIPELINE, "")))
    except Exception as error:  # whatever the store raises
        raise UserError(
            f"{shown}: cannot be read from {uris.shown(store)} ({one_line(error)}); is it a run there?"
        ) from None
    pipeline, _, below = key.partition("/")
    by_key = {run.data.tags.get(KEY): run for run in reversed(each)}
    if not key or pipeline not in by_key:
        raise UserError(f"{shown}: is no run of Hone's; give the run of a pipeline, of a stage or of a trial")
    stages = {str(run.info.run_name): str(run.info.run_id) for run in each if run.data.tags.get(KIND) == "stage"}
    whole = by_key[pipeline]
    try:
        facts = as_tags(read_facts(client, whole.info.run_id))
    except ValueError:
        raise UserError(f"{shown}: its {FACTS} is not as Hone writes it; name its git revision instead") from None
    except Exception as error:  # whatever the store of files raises
        raise UserError(f"{shown}: its {FACTS} cannot be read ({one_line(error)}); is its folder there?") from None
    return LoggedRun(
        store=store,
        asked=f"{found.data.tags.get(KIND)} {found.info.run_name}",
        pipeline=str(whole.info.run_id),
        key=pipeline,
        tags={**whole.data.tags, **facts},
        stages=stages,
        stage=below.partition("/")[0] or None,
    )


def read_trials(root: Path, uri: str | None, run: str) -> Logged:
    """Return the trials under an MLflow run of a pipeline or a stage; finalists' replays left out.

    Raises UserError if there is no such run, or no trials under it, or MLflow cannot be asked.
    """
    return _read_trials(_store(root, uri, run), run)


def _read_trials(store: str, run: str) -> Logged:
    shown = f"mlflow:{run}"
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


def _store(root: Path, uri: str | None, run: str) -> str:
    """Return the URI of the store that is to be asked for a run; UserError if tracking is off, or it is a database that
    is not there."""
    if uri == OFF:
        raise UserError(
            f"mlflow:{run}: tracking.uri is none, so there are no runs; set it to the store that has this one"
        )
    store = uris.resolve(root, uri)
    if (database := uris.sqlite_path(store)) is not None and not database.is_file():  # `connect` would make one
        raise UserError(f"mlflow:{run}: there is no database {database}; set tracking.uri to the one that has the run")
    return store


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
    rows, logged = float(tags["hone.rows"]), run.data.metrics
    # A former version logged the objective, in the sign that is minimised.
    objective = logged.get("objective", math.inf)
    if (value := logged.get(best(metric))) is not None:
        objective = metrics.objective(metric, value)
    trial = Trial(
        study=study,
        number=int(number),
        generation=int(tags["hone.generation"]),
        config={tags.get(f"{NAME}{name}", name): _value(text) for name, text in run.data.params.items()},
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
