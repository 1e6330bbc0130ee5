"""Makes an earlier study one to learn from: its trials in data/warm_start/, named in params.yaml."""

import re
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa

from hone.errors import UserError
from tasks import files, project, trials, warm_start
from tasks.params import load_params, read_params
from tasks.params_file import set_params
from tasks.reporting import NullReporter, Reporter
from tasks.tracking.logged import read_trials

MLFLOW = "mlflow:"
LONGEST = 100  # of a name; file systems take 255 bytes, and files.atomic adds to it
SILENT = NullReporter()


def copy(root: Path, source: str, name: str | None, reporter: Reporter = SILENT) -> Path:
    """Return the place of an earlier study's trials in the project, after copying them there and naming it in params.

    source: a trials.parquet, an earlier project or its artifacts folder, or `mlflow:` and the id of a run of a
    pipeline or a stage. name: of the table; None derives one from the source. reporter: told how many trials of
    which stage there were, and what is missing. Raises UserError, leaving everything as it was, if there are no
    trials, none lies in today's space, or the name is taken by other trials.
    """
    named_well(name, "a table")
    place = root / warm_start.FOLDER / f"{name if name is not None else derived(source)}.parquet"
    named = place.relative_to(root).as_posix()
    with project.lock(root, "hone warm-start"):
        # Without the studies that they name: one of them may be missing until it is copied here.
        params = read_params(root)
        content, counts, doubts = _trials(root, source, params.tracking.uri)
        if place.exists() or place.is_symlink():
            _check_same(place, named, content)
        with files.undone_if_refused(place, root / "params.yaml"):
            files.write_bytes(place, content)
            if named not in params.search.warm_start:
                set_params(root / "params.yaml", {"warm_start": [*params.search.warm_start, named]}, section="search")
            load_params(root)
    reporter.message(f"{source}: copied {', '.join(f'{n} trials of {stage}' for stage, n in counts.items())}")
    for doubt in doubts:
        reporter.warning(f"{source}: {doubt}")
    return place


def named_well(name: str | None, what: str) -> None:
    """Raise UserError unless a name that a person gives is one for a file, or None."""
    if name is not None and not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST - 1}}}", name):
        raise UserError(
            f"--name: {name!r} is no name for {what}; use letters, digits, -, _ and ., at most {LONGEST}, no . first"
        )


def derived(source: str) -> str:
    """Return a name for a source's table: the run's id, or of the path the part that says most."""
    if source.startswith(MLFLOW):
        telling = [source.removeprefix(MLFLOW)[:8]]
    else:
        parts = Path(source.removesuffix(".parquet")).absolute().parts[1:]
        telling = [part for part in parts if part not in ("artifacts", "trials")]
    while len(telling) > 1 and telling[-1] in warm_start.STAGES:
        telling.pop()
    last = telling[-1] if telling else ""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", last).lstrip("._-")[:LONGEST] or "earlier"


def _trials(root: Path, source: str, uri: str | None) -> tuple[bytes, Counter[str], list[str]]:
    """Return a source's trials as the bytes of a table, their number by stage, and why they may not be all."""
    doubts = []
    if source.startswith(MLFLOW):
        logged = read_trials(root, uri, source.removeprefix(MLFLOW))
        table, results, whole = trials.table(logged.results, logged.metric), logged.results, logged.whole
        if logged.status != "FINISHED":
            doubts.append(f"the run is {logged.status.lower()}: what is not logged yet is not copied")
    else:
        try:
            path = Path(source)
            whole = not path.is_file()
            tables = warm_start.tables_in(path) if whole else [path]
        except OSError as error:
            raise UserError(
                f"{source[:80]}: cannot be looked at ({error.strerror}); give a folder or a table"
            ) from None
        read = [warm_start.read(path, str(path)) for path in tables]
        table = pa.concat_tables([columns for columns, _ in read])
        results = [result for _, found in read for result in found]
    counts = Counter(result.trial.study for result in results)
    if whole and (absent := [stage for stage in warm_start.STAGES if stage not in counts]):
        doubts.append(f"it has no trials of {' and '.join(absent)}")
    return files.parquet_bytes(table), counts, doubts


def _check_same(place: Path, named: str, content: bytes) -> None:
    """Raise UserError if a file holds anything else than these bytes."""
    # Bytes, as of two equal tables that hold a NaN, Arrow says that they differ.
    if place.is_file() and place.read_bytes() == content:
        return
    try:
        warm_start.read(place, named)
    except UserError:
        raise UserError(
            f"{named}: is there and no table of trials; remove it, or choose another name with --name"
        ) from None
    raise UserError(f"{named}: holds other trials; choose another name with --name")


if __name__ == "__main__":
    from flows import cli

    cli.run(["warm-start", *sys.argv[1:]])
