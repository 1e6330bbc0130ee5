"""The model registry: a challenger is registered, and becomes champion if it is better on rows new to both."""

import contextlib
import html
import math
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hone import metrics
from hone.data import problem as problems
from hone.data.problem import Problem
from hone.data.rows import Seen
from hone.errors import UserError
from hone.evaluation import calibration
from tasks import model_store, params, pyfunc, record
from tasks.model_store import Predictor
from tasks.params import Tracking
from tasks.tracking import OFF, uri
from tasks.tracking.mlflow import KEY, PIPELINE, connect, find_experiment, find_runs
from tasks.tracking.spool import ignore
from tasks.tracking.uri import one_line

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
DECISION, MODEL = "hone.decision", "hone.model"
"""Tags of a version: why it is champion or not, and the hash of its model."""
FEWEST_ROWS = 30
"""On fewer rows than this a challenger is not compared with the champion."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """A version in the registry. decision: why it is champion or not, in a sentence.

    run: the id of its pipeline's run in MLflow, if that is there. is_new: it was not there before this call.
    """

    name: str
    version: str
    is_champion: bool
    decision: str
    run: str | None = None
    is_new: bool = True


def publish(
    root: Path,
    tracking: Tracking,
    *,
    pipeline: str,
    model: Path,
    rows: pd.DataFrame,
    example: pd.DataFrame,
    scores: Mapping[str, float | None],
    tags: Mapping[str, str],
    warn: Callable[[str], None] = ignore,
) -> Published | None:
    """Register a pipeline's model as challenger, and as champion if there is none or it beats the one there is.

    pipeline: the pipeline's key; one that has published this model already registers nothing new. model: its folder.
    rows: the sealed rows, target included. A champion of an earlier split may have been trained on some of them, so
    both models are scored on those that neither was trained on. example: raw rows that are not sealed, the first few
    of which are shown with the model. scores: the model's own on all of `rows`, the problem's metric among them; None
    where it is undefined. tags: put on the version (see provenance.tags).

    A champion that cannot be scored on these rows stays champion, with a warning, and so does one that can be scored
    on too few of them. Return None, after one warning, if anything fails: a tuned model is worth keeping whether a
    registry takes it or not.
    """
    if tracking.uri == OFF:
        return None
    try:
        registry = _Registry(root, tracking, warn)
        return registry.publish(pipeline, model, rows, example, scores, tags)
    except Exception as error:
        warn(f"registry: {tracking.model!r} is not registered ({one_line(error)}); the model is in {model.name}/")
        return None


@dataclass(frozen=True)
class _Model:
    """A model, and fingerprints of the rows that it was trained on, none if they are not known.

    former: rows that the weights it started from were trained on.
    """

    predictor: Predictor
    seen: NDArray[np.uint64]
    former: tuple[Seen, ...] = ()

    def knows(self, rows: pd.DataFrame) -> tuple[NDArray[np.bool_], bool]:
        """Return which raw rows it, or what it started from, was trained on, [n], and whether all of that can be told.

        Former weights may be of another table: where it cannot be told they count as trained on none of the rows.
        """
        known, told = np.zeros(len(rows), dtype=np.bool_), True
        if len(self.seen):
            known |= np.isin(self.predictor.preprocessor.fingerprints(rows), self.seen)
        for one in self.former:
            try:
                known |= one.knows(rows)
            except UserError:
                told = False
        return known, told


class _Registry:
    """A connection to the registry that params name."""

    def __init__(self, root: Path, tracking: Tracking, warn: Callable[[str], None]) -> None:
        self._root = root
        self._uri = uri.resolve(root, tracking.uri)
        self._name = tracking.model
        self._trusted = params.trusted(root)
        self._warn = warn
        self._client: MlflowClient = connect(self._uri)
        self._experiment = find_experiment(self._client, root, self._uri, tracking.experiment)

    def publish(
        self,
        pipeline: str,
        model: Path,
        rows: pd.DataFrame,
        example: pd.DataFrame,
        scores: Mapping[str, float | None],
        tags: Mapping[str, str],
    ) -> Published:
        own = str(record.md5(model))
        version = self._version(pipeline, own)
        if version is not None and DECISION in version.tags:
            champion = self._champion()
            decided = version.tags[DECISION]
            is_champion = champion is not None and str(champion.version) == str(version.version)
            return Published(
                name=self._name,
                version=str(version.version),
                is_champion=is_champion,
                decision=decided,
                run=version.run_id or None,
                is_new=False,
            )
        challenger = self._read(model)
        problem = challenger.predictor.problem
        if version is None:
            values = {f"metric.{name}": repr(value) for name, value in scores.items() if value is not None}
            version = self._register(
                pipeline, model, example, {**tags, **values, "hone.metric": problem.metric, MODEL: own}
            )
        number = str(version.version)
        self._client.set_registered_model_alias(self._name, CHALLENGER, number)
        score = scores[problem.metric]
        won, decision = self._compare(number, challenger, math.nan if score is None else score, rows)
        if won:
            self._client.set_registered_model_alias(self._name, CHAMPION, number)
        self._client.set_model_version_tag(self._name, number, DECISION, decision)  # last: from here on it is done
        run = version.run_id or None
        return Published(name=self._name, version=number, is_champion=won, decision=decision, run=run)

    def _register(self, pipeline: str, model: Path, example: pd.DataFrame, tags: Mapping[str, str]) -> Any:
        """Upload the model and return its new version."""
        self._ensure_name()
        run_id = next((run.info.run_id for run in self._runs(pipeline) if run.data.tags.get(KEY) == pipeline), None)
        name = re.sub(r"[^\w-]", "_", self._name)  # a logged model's name may hold less than a registered one's
        logged = self._client.create_logged_model(self._experiment, name, run_id, {PIPELINE: pipeline}, {}, "pyfunc")
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            pyfunc.save(
                folder, model, example, root=self._root, trusted=self._trusted, model_id=logged.model_id, run_id=run_id
            )
            self._client.log_model_artifacts(logged.model_id, str(folder))
        self._client.finalize_logged_model(logged.model_id, "READY")
        # A database's registry would look a model's id up in MLflow's global store; a server knows its own.
        is_server = self._uri.partition("://")[0] in uri.SERVERS
        return self._client.create_model_version(
            self._name,
            f"models:/{logged.model_id}" if is_server else logged.artifact_location,
            run_id,
            tags={**{key: str(value)[:5000] for key, value in tags.items()}, PIPELINE: pipeline},
            model_id=logged.model_id if is_server or run_id else None,
            description=_describe(model_store.load(model, self._trusted)),
        )

    def _compare(self, number: str, challenger: "_Model", score: float, rows: pd.DataFrame) -> tuple[bool, str]:
        """Return whether version `number` is to be champion, and why. score: its own on all of the sealed rows."""
        problem = challenger.predictor.problem
        champion = self._champion()
        if champion is None:
            return True, f"first champion, {problem.metric} {score:.6g}"
        if str(champion.version) == number:  # a kill came between the alias and the tag
            return True, f"champion, {problem.metric} {score:.6g}"
        try:
            holder = self._open(champion)
            theirs = holder.predictor.problem
            if (theirs.task, theirs.target, theirs.classes) != (problem.task, problem.target, problem.classes):
                raise ValueError(f"it predicts {_shown(theirs)}, not {_shown(problem)}")
            (theirs_seen, sure), (ours_seen, as_sure) = holder.knows(rows), challenger.knows(rows)
            unseen = rows[~(theirs_seen | ours_seen)]
            enough = len(unseen) >= FEWEST_ROWS
            held = _score(holder.predictor, problem, unseen) if enough else math.nan
        except Exception as error:
            decision = f"not compared: champion version {champion.version} cannot be scored on these rows"
            return False, self._kept(number, champion, f"{decision} ({one_line(error)})")
        if not enough:
            few = f"only {len(unseen)} of {len(rows)} test rows are new to both models, and {FEWEST_ROWS} are needed"
            return False, self._kept(number, champion, f"not comparable: {few}")
        which = f"{len(unseen)} test rows that neither was trained on"
        if not len(holder.seen):
            which = f"{len(unseen)} test rows; what version {champion.version} was trained on is not recorded"
        if not (sure and as_sure):
            which += "; whether the weights that they started from were trained on these cannot be told"
        score = _score(challenger.predictor, problem, unseen)
        if math.isnan(held) or math.isnan(score):
            return False, self._kept(number, champion, f"not comparable: {problem.metric} is undefined on {which}")
        against = f"{problem.metric} {score:.6g} against {held:.6g} of version {champion.version} on {which}"
        if metrics.objective(problem.metric, score) < metrics.objective(problem.metric, held):
            return True, f"new champion, {against}"
        return False, f"not better than the champion, {against}"

    def _open(self, champion: Any) -> "_Model":
        """Download a version's model and return it."""
        source = self._client.get_model_version_download_uri(self._name, champion.version)
        with _downloaded(source, self._uri) as model:
            return self._read(model)

    def _read(self, model: Path) -> "_Model":
        """Return the model in a folder."""
        return _Model(model_store.load(model, self._trusted), model_store.seen(model), model_store.former(model))

    def _kept(self, number: str, champion: Any, decision: str) -> str:
        """Warn that the champion stays without a comparison, and return the decision."""
        self._warn(
            f"registry: {self._name!r} {decision}; version {champion.version} stays champion, version {number} is "
            f"registered as {CHALLENGER}: move the alias {CHAMPION} in MLflow if it is to serve"
        )
        return decision

    def _version(self, pipeline: str, model: str) -> Any | None:
        """Return the version that a pipeline has published of the model with this hash, or None.

        Two models of one pipeline: a time limit may have been measured anew. Former versions of Hone left no hash.
        """
        found = self._client.search_model_versions(f"name = '{self._name}'", max_results=1000)
        own = [version for version in found if version.tags.get(PIPELINE) == pipeline]
        return next((version for one in (model, None) for version in own if version.tags.get(MODEL) == one), None)

    def _champion(self) -> Any | None:
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version_by_alias(self._name, CHAMPION)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def _ensure_name(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self._name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _runs(self, pipeline: str) -> Any:
        return find_runs(self._client, self._experiment, pipeline)


def load(root: Path, tracking: Tracking, name: str, trusted: Collection[str] = ()) -> Predictor:
    """Return a registered model, such as ``models:/hone@champion`` or ``models:/hone/3``.

    trusted: see `model_store.load`. Raises UserError as that and `opened` do.
    """
    with opened(root, tracking, name) as model:
        return model_store.load(model, trusted)


@contextlib.contextmanager
def opened(root: Path, tracking: Tracking, name: str) -> Iterator[Path]:
    """Yield the folder of a registered model, for as long as the block lasts.

    Raises UserError if tracking is off, there is no such model, or it is not one of Hone's.
    """
    found = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))", name)
    if found is None:
        raise UserError(f"{name}: names no registered model; write models:/NAME@ALIAS or models:/NAME/VERSION")
    if tracking.uri == OFF:
        raise UserError(f"{name}: tracking is off, so there is no registry; name a model's folder, or set tracking.uri")
    registered, alias, version = found.groups()
    store = uri.resolve(root, tracking.uri)
    with contextlib.ExitStack() as stack:
        try:
            client = connect(store)
            number = version or client.get_model_version_by_alias(registered, alias).version
            source = client.get_model_version_download_uri(registered, number)
            model = stack.enter_context(_downloaded(source, store))
        except Exception as error:  # a database's are of many kinds
            raise UserError(f"{name}: cannot be loaded ({one_line(error)}); `hone ui` lists the models") from error
        yield model


@contextlib.contextmanager
def _downloaded(source: str, tracking_uri: str) -> Iterator[Path]:
    """Yield the folder of Hone's own in an MLflow model, for as long as the block lasts."""
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(download_artifacts(source, dst_path=scratch, tracking_uri=tracking_uri))
        yield folder / Model.load(str(folder)).flavors["python_function"]["data"]


def _score(predictor: Predictor, problem: Problem, rows: pd.DataFrame) -> float:
    """Return a model's score on rows by a problem's metric, NaN where that is undefined."""
    truth = problems.encode(problem, rows[problem.target])
    # A threshold is of the class that the model itself was to find, which need not be the problem's.
    prediction = calibration.for_metric(problem.metric, predictor.problem, predictor.proba(rows), predictor.threshold)
    return metrics.score(problem.metric, problem, truth, prediction)


def _describe(predictor: Predictor) -> str:
    """Return what the model predicts, from which columns, as Markdown."""
    kinds = {column.name: column.kind for column in predictor.preprocessor.schema.columns}
    columns = ", ".join(f"{name} ({kinds[name]})" for name in predictor.columns)
    text = f"Predicts {_shown(predictor.problem)} from {columns}."
    text = html.escape(text, quote=False)  # MLflow shows it as Markdown, which may hold markup
    return text if len(text) <= 5000 else f"{text[:4999]}…"


def _shown(problem: Problem) -> str:
    of = "" if problem.classes is None else f" of {', '.join(map(str, problem.classes))}"
    return f"{problem.target!r} ({problem.task}{of})"
