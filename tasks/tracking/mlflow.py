"""Runs in MLflow, all of them found again by their keys: one transaction for each trial, or three calls to a server."""

import contextlib
import errno
import json
import logging
import math
import os
import posixpath
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, final
from urllib.parse import unquote, urlsplit

from tasks.pipeline import hash_json, hash_path
from tasks.tracking import uri as uris
from tasks.tracking import views
from tasks.tracking.entry import Dataset, Entry, Point, RefusedError, Tracker, as_tags
from tasks.tracking.mlflow_tables import Tables, make_tables, passes, tables_of
from tasks.tracking.uri import one_line

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
KEY, PIPELINE, KIND = "hone.key", "hone.pipeline", "hone.kind"
ENTRY = "hone.entry"
"""The tag of a trial that says what it was told: one that failed is tried again, and may come out otherwise."""
NAME = "hone.name."
"""How the tags of a trial begin that say what names of params are in full, where MLflow takes others."""
FACTS = "provenance.json"
"""The artifact of a pipeline's run that holds the facts of all its entries, by name."""
STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}
COMPLETE = ("FINISHED", "FAILED")
METRICS_A_BATCH, OTHERS_A_BATCH = 800, 100  # MLflow takes 1000 values a batch, of which 100 params and 100 tags
LONGEST_PARAM, LONGEST_TAG, LONGEST_NAME, LONGEST_DIGEST = 6000, 5000, 250, 16
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it would print two lines for every trial
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # The spool tries again, and it does not block. MLflow would also repeat what has been done: where the answer to
    # the creation of a run was lost, there would be two.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
}
UPLOADING = ".artifact.uploading."
"""How the names begin of files that MLflow has not copied to their end."""
ELSEWHERE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.ENOENT)
"""Why a folder cannot be made that lies on another machine, or is another person's."""
# They tell at length how a database is made, and that a model is about to be.
TALKATIVE = ("alembic", "mlflow.store.model_registry.abstract_store", "mlflow.pyfunc")
# It shows a traceback, with the SQL, of every error that it also raises, which we tell of in a line.
SHRILL = "mlflow.store.db.utils"


def connect(uri: str) -> "MlflowClient":
    """Return a client for tracking and registry; a database is created if it is not there.

    Raises whatever is wrong with the store, soon: MLflow on its own tries a broken database for 100 seconds.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    uris.knock(uri)
    if (path := uris.sqlite_path(uri)) is not None:
        _write_ahead(path)
    elif uri.partition("://")[0].partition("+")[0] in uris.DATABASES:
        import sqlalchemy

        engine = sqlalchemy.create_engine(uri)
        engine.connect().close()
        engine.dispose()
    from mlflow.tracking import MlflowClient

    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(SHRILL).setLevel(logging.CRITICAL + 1)
    if path is not None:
        make_tables(path)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def find_experiment(client: "MlflowClient", root: Path, uri: str, name: str) -> str:
    """Return the id of an experiment, created if need be. Its files lie beside the project's own database.

    A tag of it says how MLflow's page is to show its pipelines.
    """
    key, view = views.SHARED + views.PIPELINES, views.pipelines_view()
    if (experiment := client.get_experiment_by_name(name)) is None:
        local = uri.partition("://")[0].partition("+")[0] in uris.DATABASES
        place = (root.resolve() / "mlartifacts").as_uri() if local else None
        return str(client.create_experiment(name, place, {key: view}))
    if experiment.lifecycle_stage != "active":
        raise RuntimeError(f"experiment {name!r} is deleted; restore it in MLflow or set another tracking.experiment")
    if experiment.tags.get(key) != view:
        client.set_experiment_tag(experiment.experiment_id, key, view)
    return str(experiment.experiment_id)


def read_facts(client: "MlflowClient", run: str) -> dict[str, Any]:
    """Return the facts of a run by name; none if it has none. Raises whatever the store raises.

    Raises ValueError if its file is none that this module writes.
    """
    if not any(each.path == FACTS for each in client.list_artifacts(run)):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        content = json.loads(Path(client.download_artifacts(run, FACTS, folder)).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{FACTS} holds no names")
    return content


def find_runs(client: "MlflowClient", experiment: str, pipeline: str) -> Iterator[Any]:
    """Yield the MLflow runs of a pipeline, oldest first."""
    token = None
    while True:
        page = client.search_runs(
            [experiment],
            f"tags.`{PIPELINE}` = '{pipeline}'",
            max_results=1000,
            order_by=["attributes.start_time ASC"],
            page_token=token,
        )
        yield from page
        if not (token := page.token):
            return


@dataclass
class _Run:
    """What is known of a run in MLflow. points: by metric, the steps that it has; looked up when first asked for.

    entry: of a complete trial, a hash of what it was told. facts: those that its file has; None: not looked up.
    """

    id: str
    status: str
    params: set[str] = field(default_factory=set)
    tags: dict[str, str] = field(default_factory=dict)
    points: dict[str, set[int]] = field(default_factory=dict)
    is_new: bool = False
    entry: str = ""
    facts: dict[str, Any] | None = None


@final
class MlflowTracker(Tracker):
    """Records pipelines, stages and trials as nested runs of one experiment.

    root: the project; a relative SQLite path and entries' files are relative to it. MLflow is imported, and its
    database made, with the first entry. Values that are not finite are left out: no chart can show them.
    """

    def __init__(self, root: Path, uri: str | None, experiment: str) -> None:
        self._root = root
        self._uri = uris.resolve(root, uri)
        self._experiment_name = experiment
        self._experiment = ""
        self._client: MlflowClient | None = None
        self._tables: Tables | None = None
        self._tables_work = True
        self._runs: dict[str, dict[str, _Run]] = {}  # by pipeline, then by key
        self._views: dict[str, str] = {}
        self._noted = ""

    def log(self, entry: Entry) -> None:
        """Record an entry.

        Raises RefusedError if MLflow finds it invalid, a file of it is gone, or the experiment's folder takes no files
        of this project's; else as it comes.
        """
        try:
            self._log(self._connected(), entry)
        except Exception as error:
            # Not by its class: importing that keeps a core busy for seconds, and there may be nobody who answers.
            if getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE":
                raise RefusedError(str(error)) from error
            self.close()
            raise

    def close(self) -> None:
        """Forget the connection and what was known of the runs; the next entry looks again."""
        self._client = None
        self._tables = None
        self._runs = {}

    def _log(self, client: "MlflowClient", entry: Entry, *, by_client: bool = False) -> None:
        run = self._find(client, entry.key)
        if run is not None and entry.kind == "trial" and run.status in COMPLETE:
            if run.entry == _told(entry):
                return
            client.delete_run(run.id)
            del self._runs[_pipeline(entry.key)][entry.key]
            run = None
        at = round(1000 * (entry.at or time.time()))
        if run is None and not by_client and self._write(client, entry, at):
            return
        if run is None:
            run = self._create(client, entry, at)
        self._log_values(client, run, entry, at)
        self._log_views(client, run, entry)
        refused = self._log_files(client, run, entry)
        status = STATUS.get(entry.status)
        if status is not None and status != run.status:
            client.set_terminated(run.id, status, at)
            run.status = status
        elif status is None and run.status != "RUNNING":
            client.update_run(run.id, status="RUNNING")
            run.status = "RUNNING"
        if entry.kind == "trial" and run.status in COMPLETE:
            # Of thousands, keep little.
            self._runs[_pipeline(entry.key)][entry.key] = _Run(run.id, run.status, entry=_told(entry))
        if refused:
            raise RefusedError(refused)

    def _connected(self) -> "MlflowClient":
        if self._client is None:
            client = connect(self._uri)
            self._experiment = find_experiment(client, self._root, self._uri, self._experiment_name)
            self._tables = tables_of(client, self._experiment) if self._tables_work else None
            self._client = client
        return self._client

    def _find(self, client: "MlflowClient", key: str) -> _Run | None:
        pipeline = _pipeline(key)
        if pipeline not in self._runs:
            known: dict[str, _Run] = {}
            bare: list[tuple[str, _Run]] = []
            for found in find_runs(client, self._experiment, pipeline):
                run = _Run(found.info.run_id, found.info.status, set(found.data.params), dict(found.data.tags))
                run.entry = run.tags.get(ENTRY, "")
                name = run.tags.get(KEY, "")
                if found.data.params or found.data.metrics:
                    known.setdefault(name, run)
                else:
                    bare.append((name, run))
            for name, run in bare:
                # A server may create a run after it was given up waiting for, and another one was created.
                if known.setdefault(name, run) is not run:
                    client.delete_run(run.id)
            self._runs[pipeline] = known
        return self._runs[pipeline].get(key)

    def _write(self, client: "MlflowClient", entry: Entry, at: int) -> bool:
        """Return whether a trial that is new and complete is now in the database; where not, the client is to do it."""
        status = STATUS.get(entry.status)
        if self._tables is None or entry.kind != "trial" or status not in COMPLETE or entry.files:
            return False
        tags = self._first_tags(client, entry, at)
        try:
            run_id = self._tables.write(
                name=entry.name,
                status=status,
                start=_start(entry, at),
                end=at,
                params=_params(entry),
                points=_points(entry),
                tags=tags,
            )
        except Exception as error:
            if not passes(error):  # the tables may be another MLflow's: they are not tried again
                self._tables_work = False
                _LOG.warning("MLflow: trials are logged in several calls each from now on: %s", one_line(error))
            # Looks again first: the connection may have been lost after the commit.
            self.close()
            self._log(self._connected(), entry, by_client=True)
            return True
        if run_id is not None:
            self._runs[_pipeline(entry.key)][entry.key] = _Run(run_id, status, entry=_told(entry))
        return run_id is not None

    def _create(self, client: "MlflowClient", entry: Entry, at: int) -> _Run:
        tags = self._first_tags(client, entry, at)
        created = client.create_run(self._experiment, _start(entry, at), tags, entry.name)
        run = _Run(created.info.run_id, created.info.status, tags=tags, is_new=True)
        self._runs[_pipeline(entry.key)][entry.key] = run
        return run

    def _first_tags(self, client: "MlflowClient", entry: Entry, at: int) -> dict[str, str]:
        """Return the tags that a run is created with."""
        tags = {**_tags(entry.tags), KEY: entry.key, PIPELINE: _pipeline(entry.key), KIND: entry.kind}
        if entry.kind == "trial":
            tags[ENTRY] = _told(entry)
            tags |= {f"{NAME}{_taken(name)}": name for name in entry.params if _taken(name) != name}
        if entry.parent is not None:
            tags["mlflow.parentRunId"] = self._parent(client, entry.parent, at).id
        return tags

    def _parent(self, client: "MlflowClient", key: str, at: int) -> _Run:
        """Return the run of a key; if nobody logged it, a bare one, so that its children have a place."""
        if (run := self._find(client, key)) is not None:
            return run
        above, _, name = key.rpartition("/")
        bare = Entry(key=key, kind="stage" if above else "pipeline", name=name, parent=above or None)
        return self._create(client, bare, at)

    def _log_values(self, client: "MlflowClient", run: _Run, entry: Entry, at: int) -> None:
        from mlflow.entities import Metric, Param, RunTag

        points = [point for point in _points(entry) if point[2] not in self._steps(client, run, point)]
        params = {name: value for name, value in _params(entry).items() if name not in run.params}
        tags = {name: value for name, value in _tags(entry.tags).items() if run.tags.get(name) != value}
        batches = zip_longest(
            _chunks([Metric(name, value, at, step) for name, value, step in points], METRICS_A_BATCH),
            _chunks([Param(name, value) for name, value in params.items()], OTHERS_A_BATCH),
            _chunks([RunTag(name, value) for name, value in tags.items()], OTHERS_A_BATCH),
            fillvalue=(),
        )
        for metrics, some_params, some_tags in batches:
            client.log_batch(run.id, metrics, some_params, some_tags, synchronous=True)
        for name, _, step in points:
            run.points[name].add(step)
        run.params |= set(params)
        run.tags |= tags

        if entry.datasets:
            client.log_inputs(run.id, [_input(dataset) for dataset in entry.datasets])

    def _log_views(self, client: "MlflowClient", run: _Run, entry: Entry) -> None:
        """Save the entry's views with the experiment, and note where a pipeline's run is."""
        for key, view in entry.views.items():
            if self._views.get(key) != view and len(view) <= views.LONGEST:
                client.set_experiment_tag(self._experiment, views.SHARED + key, view)
                self._views[key] = view
        if entry.kind == "pipeline" and self._noted != run.id:
            with contextlib.suppress(
                OSError
            ):  # the project's disk may be full; there are then no links to this pipeline
                views.note(self._root, self._experiment, run.id, entry.key)
            self._noted = run.id

    def _steps(self, client: "MlflowClient", run: _Run, point: Point) -> set[int]:
        name = point[0]
        if name not in run.points:
            history = () if run.is_new else client.get_metric_history(run.id, name)
            run.points[name] = {metric.step for metric in history}
        return run.points[name]

    def _log_files(self, client: "MlflowClient", run: _Run, entry: Entry) -> str:
        """Copy files and folders into the run, each under its path in the project, and add facts to its file of them.

        Return why some files are left out, if so: they are gone, or no longer what they were when they were logged, or
        the folder is another project's or machine's with the same database, and would take none ever. Facts are tags
        then.
        """
        if not entry.files and not entry.facts:
            return ""
        place = _local(client.get_run(run.id).info.artifact_uri)
        if place is not None and not _takes_files(place):
            self._log_values(client, run, replace(entry, tags=as_tags(entry.facts), datasets=()), 0)
            above = place.parent.parent  # all runs'
            why = f"no files: {above} cannot be written; another tracking.experiment, or an MLflow server, can"
            return why if entry.files else ""
        if entry.facts:
            self._log_facts(client, run, entry.facts)
        missing = []
        for name in entry.files:
            path = self._root / name
            if path.is_file() and name in entry.digests and entry.digests[name] != hash_path(path):
                missing.append(name)
            elif path.is_dir():
                client.log_artifacts(run.id, str(path), name)
            elif path.is_file():
                folder = Path(name).parent.as_posix()
                client.log_artifact(run.id, str(path), None if folder == "." else folder)
            else:
                missing.append(name)
        # What a kill left of copies: MLflow writes beside a file and renames.
        for left in place.rglob(f"{UPLOADING}*") if place is not None else ():
            left.unlink(missing_ok=True)
        return f"gone, or changed since: {', '.join(missing)}" if missing else ""

    def _log_facts(self, client: "MlflowClient", run: _Run, facts: Mapping[str, Any]) -> None:
        if run.facts is None:
            try:
                run.facts = {} if run.is_new else read_facts(client, run.id)
            except ValueError:  # not written by this module: it is replaced
                run.facts = {}
        if (merged := {**run.facts, **facts}) != run.facts:
            client.log_dict(run.id, merged, FACTS)
            run.facts = merged


def _local(artifacts: str) -> Path | None:
    """Return the folder of a run's artifacts, or None if they are not files of this machine."""
    parts = urlsplit(artifacts)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _takes_files(folder: Path) -> bool:
    """Return whether files can be written to a folder, which is made; raise OSError for what may pass."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in ELSEWHERE:
            return False
        raise
    return os.access(folder, os.W_OK | os.X_OK)


def _write_ahead(path: Path) -> None:
    """Turn on SQLite's write-ahead log, which makes every later write three times faster; it lasts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=5)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def _pipeline(key: str) -> str:
    return key.partition("/")[0]


def _told(entry: Entry) -> str:
    """Return a hash of what a trial came to, but not of when."""
    points = sorted((name, float(value), step) for name, value, step in _points(entry))
    return hash_json([entry.status, dict(entry.params), points, dict(entry.tags)])


def _start(entry: Entry, at: int) -> int:
    return at - round(1000 * (entry.seconds or 0))


def _points(entry: Entry) -> list[Point]:
    return [(_taken(name), value, step) for name, value, step in dict.fromkeys(entry.metrics) if math.isfinite(value)]


def _params(entry: Entry) -> dict[str, str]:
    return {_taken(name): str(value)[:LONGEST_PARAM] for name, value in entry.params.items()}


@lru_cache(maxsize=4096)  # each point of a curve asks
def _taken(name: str) -> str:
    """Return a param's or a metric's name as MLflow takes it, by its own rules; for one that breaks them it takes none.

    It goes by the name alone, as entries come one by one; a hash keeps apart what would be one.
    """
    path = posixpath.normpath(name)
    is_path = path == name and path != "." and not path.startswith(("..", "/"))
    if is_path and len(name) <= LONGEST_NAME and re.fullmatch(r"[/\w.\- :]+", name):
        return name
    plain = re.sub(r"^\.+|[^\w.\- :]", "_", name)
    return f"{plain[: LONGEST_NAME - 50]} {hash_json(name)[:8]}"


def _tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: str(value)[:LONGEST_TAG] for name, value in tags.items()}


def _input(dataset: Dataset) -> Any:
    """Return a dataset as MLflow's client takes it."""
    from mlflow.entities import Dataset as Logged
    from mlflow.entities import DatasetInput, InputTag

    size = {"num_rows": dataset.n_rows, "num_elements": dataset.n_rows * dataset.n_columns}
    logged = Logged(
        name=dataset.name,
        digest=dataset.digest[:LONGEST_DIGEST],
        source_type="local",
        source=json.dumps(dict(dataset.source)),
        profile=json.dumps(size),
    )
    return DatasetInput(logged, [InputTag("mlflow.data.context", dataset.context)])


def _chunks(values: Sequence[T], size: int) -> list[Sequence[T]]:
    return [values[start : start + size] for start in range(0, len(values), size)]
