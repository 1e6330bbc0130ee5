"""Makes an earlier study one to learn from: its trials in data/warm_start/, named in params.yaml."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flows.add import set_params
from hone.errors import UserError
from tasks import files, project, trials, warm_start
from tasks.params import load_params
from tasks.tracking.logged import read_trials

MLFLOW = "mlflow:"


def copy(root: Path, source: str, name: str | None) -> Path:
    """Return the place of an earlier study's trials in the project, after copying them there and naming it in params.

    source: a trials.parquet, an earlier project or its artifacts folder, or `mlflow:` and the id of a run of a
    pipeline or a stage. name: of the table; None derives one from the source. Raises UserError, leaving everything
    as it was, if there are no trials, none lies in today's space, or the name is taken by other trials.
    """
    params = load_params(root)
    name = name if name is not None else derived(source)
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise UserError(f"--name: {name!r} is no file name; use letters, digits, - and _")
    place = root / warm_start.FOLDER / f"{name}.parquet"
    with project.lock(root, "hone warm-start"), _undone_if_refused(place, root / "params.yaml"):
        table = _table(root, source, params.tracking.uri)
        if place.exists() and not pq.read_table(place).equals(table):
            raise UserError(f"--name: {name}: {warm_start.FOLDER / place.name} holds other trials; choose another name")
        files.write_parquet(place, table)
        named = place.relative_to(root).as_posix()
        if named not in params.search.warm_start:
            set_params(root / "params.yaml", {"warm_start": [*params.search.warm_start, named]}, section="search")
        load_params(root)
    return place


def derived(source: str) -> str:
    """Return a name for a source's table: the run's id, or of the path the part that says most."""
    if source.startswith(MLFLOW):
        return source.removeprefix(MLFLOW)[:8]
    telling = [
        part for part in Path(source).absolute().with_suffix("").parts if part not in ("artifacts", "trials", "/")
    ]
    while len(telling) > 1 and telling[-1] in warm_start.STAGES:
        telling.pop()
    return re.sub(r"[^\w.-]", "_", telling[-1]) if telling else "earlier"


def _table(root: Path, source: str, uri: str | None) -> pa.Table:
    """Return a source's trials as a table of theirs."""
    if source.startswith(MLFLOW):
        return trials.table(*read_trials(root, uri, source.removeprefix(MLFLOW)))
    path = Path(source)
    tables = [path] if path.is_file() else warm_start.tables_in(path)
    for table in tables:
        warm_start.read(table, str(table))
    return pa.concat_tables([pq.read_table(table) for table in tables])


@contextlib.contextmanager
def _undone_if_refused(*paths: Path) -> Iterator[None]:
    """Put files back as they were if the body fails."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                files.write_bytes(path, content)
        raise


if __name__ == "__main__":
    from flows import cli

    sys.exit(cli.main(["warm-start", *sys.argv[1:]]))
