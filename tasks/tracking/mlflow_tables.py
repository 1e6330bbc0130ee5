"""A trial that is new and complete, written to the tables of MLflow's database in one transaction.

MLflow's client takes three calls, six transactions and 25 ms for it, on cores that workers train on; this takes 3 ms.
Classes of MLflow that are no public API are used here and nowhere else. Rows are the same as the client's: a test
compares them. Where this does not work, there is always the client.
"""

import fcntl
import re
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from tasks.tracking.entry import Point

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@final
class Tables:
    """The tables behind a client, for runs of one experiment."""

    def __init__(self, store: Any, experiment: str, location: str) -> None:
        self._store = store
        self._experiment = experiment
        self._location = location

    def write(
        self,
        *,
        name: str,
        status: str,
        start: int,
        end: int,
        params: Mapping[str, str],
        points: Sequence[Point],
        tags: Mapping[str, str],
    ) -> str | None:
        """Write a run; return its id, or None if MLflow's own rules refuse it: a name, a value, a deleted experiment.

        points: finite, each once; all of them were measured at `end`. Raises what the database raises; then
        nothing is written, unless the connection was lost in the very commit.
        """
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException
        from mlflow.store.tracking.dbmodels.models import (
            SqlExperiment,
            SqlLatestMetric,
            SqlMetric,
            SqlParam,
            SqlRun,
            SqlTag,
        )
        from mlflow.utils.uri import append_to_uri_path
        from mlflow.utils.validation import _validate_batch_log_data

        try:
            _validate_batch_log_data(  # type: ignore[no-untyped-call]
                [Metric(metric, value, end, step) for metric, value, step in points],
                [Param(param, value) for param, value in params.items()],
                [],
            )
        except MlflowException:
            return None
        run_id = uuid.uuid4().hex
        artifacts = append_to_uri_path(self._location, run_id, "artifacts")  # type: ignore[no-untyped-call]
        run = {
            "run_uuid": run_id,
            "name": name,
            "source_type": "UNKNOWN",
            "source_name": "",
            "entry_point_name": "",
            "user_id": "unknown",
            "status": status,
            "start_time": start,
            "end_time": end,
            "source_version": "",
            "lifecycle_stage": "active",
            "artifact_uri": artifacts,
            "experiment_id": int(self._experiment),
        }
        metrics = [
            {"run_uuid": run_id, "key": key, "value": value, "timestamp": end, "step": step, "is_nan": False}
            for key, value, step in points
        ]
        latest: dict[Any, dict[str, Any]] = {}
        for metric in sorted(metrics, key=lambda metric: (metric["step"], metric["value"])):
            latest[metric["key"]] = metric
        with self._store.ManagedSessionMaker(read_only=False) as session:
            for table, rows in (
                (SqlRun, [run]),
                (SqlTag, _named(run_id, {**tags, "mlflow.runName": name})),
                (SqlParam, _named(run_id, params)),
                (SqlMetric, metrics),
                (SqlLatestMetric, list(latest.values())),
            ):
                if rows:
                    session.connection().execute(table.__table__.insert(), rows)
            # Last: a transaction of SQLite's that begins by reading is refused where another process writes meanwhile.
            stage = session.query(SqlExperiment.lifecycle_stage).filter_by(experiment_id=run["experiment_id"]).scalar()
            if stage != "active":
                session.rollback()
                return None
        return run_id


def tables_of(client: "MlflowClient", experiment: str) -> Tables | None:
    """Return the tables that a client writes to, or None if it talks to a server or keeps files."""
    try:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        store = client._tracking_client.store
    except (ImportError, AttributeError):  # another version of MLflow
        return None
    # Not a subclass: it may keep more than these tables.
    if type(store) is not SqlAlchemyStore:
        return None
    return Tables(store, experiment, client.get_experiment(experiment).artifact_location)


def make_tables(path: Path) -> None:
    """Make MLflow's tables in a SQLite database that has none, in one transaction: a kill leaves all of them or none.

    MLflow makes them one after the other, and cannot use a database that has some of them, ever after. What another
    process has made meanwhile, in a database that projects share, is left as it is.
    """
    with closing(sqlite3.connect(path, timeout=5)) as database:
        if not _is_empty(database):
            return
        import sqlalchemy

        try:
            from mlflow.store.db.utils import _initialize_tables
        except ImportError:  # another version of MLflow, which makes them itself
            return
        with tempfile.TemporaryDirectory() as scratch:
            engine = sqlalchemy.create_engine(f"sqlite:///{scratch}/mlflow.db")
            _initialize_tables(engine)  # type: ignore[no-untyped-call]
            engine.dispose()
            with closing(sqlite3.connect(f"{scratch}/mlflow.db")) as made, _alone(path):
                if _is_empty(database):
                    made.backup(database)


def _is_empty(database: sqlite3.Connection) -> bool:
    return not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep others, that do so too, from making a database's tables for as long as the block lasts."""
    with path.with_name(f"{path.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def passes(error: Exception) -> bool:
    """Return whether what `write` raised says of the database that it is busy or away, not that its tables differ."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError

    transient = isinstance(error, OperationalError) or (
        isinstance(error, MlflowException) and error.error_code == "TEMPORARILY_UNAVAILABLE"
    )
    # SQLite says so with the same error as that it is locked.
    return transient and not re.search("no such (table|column)|has no column", str(error))


def _named(run_id: str, values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"run_uuid": run_id, "key": key, "value": value} for key, value in values.items()]
