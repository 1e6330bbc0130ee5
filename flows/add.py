"""Makes a table, or pictures, the project's data: a copy in data/raw/, tracked by DVC, and named in params.yaml."""

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hone import models
from hone.data import schema
from hone.errors import UserError
from tasks import download, files, pictures, pipeline, project, sources, tables, versioning
from tasks.params import Params, read_params
from tasks.params_file import set_params

RAW = Path("data") / "raw"


def add(root: Path, table: Path | str, target: str | None, look: Callable[[], object] = lambda: None) -> Path:
    """Return the table's place in the project, after copying it there, tracking it, and naming it in params.yaml.

    table: a file anywhere, a folder of parts of a table, pictures, or an address of them (https, s3); what is in
    data/raw/ stays where it is. target: the column to predict; None keeps the one in params.yaml; pictures have none.
    A model.family that is not for such rows becomes the first that is. look: called when all is in place; what it
    raises is raised, and nothing is done. Raises UserError, leaving everything as it was, if the table cannot be read,
    has no such column, or would take the place of another file.
    """
    if isinstance(table, str) and sources.is_address(table):
        with download.fetched(root, table) as file:
            return add(root, file, target, look)
    table = Path(table)
    sources.check_kind(table)
    sources.check_links(table, str(table))
    params = read_params(root)
    of_pictures = pictures.are_at(table)
    if of_pictures:
        _check_pictures(table, target)
    place = root / RAW / table.name
    source = place.relative_to(root).as_posix()
    if of_pictures:
        column, columns = None, []
    else:
        column, columns = _target(table, target, params)
    if params.data.source != source and not sources.is_sklearn(params.data.source):
        _check_settings(params, table.name, column, columns)
    written = [root / "params.yaml", place.with_name(f"{place.name}.dvc"), place.with_name(".gitignore")]
    with project.lock(root, "hone add"), _copied(table, place), files.undone_if_refused(*written):
        versioning.track(root, place)
        set_params(root / "params.yaml", {"source": source, "target": column})
        family = models.family_for(params.model.family, "pictures" if of_pictures else "table")
        if family != params.model.family:
            set_params(root / "params.yaml", {"family": family}, "model")
        look()
    return place


def _target(table: Path, target: str | None, params: Params) -> tuple[str, list[str]]:
    """Return the column of a table that is to be predicted, and all its columns; UserError if it has no such column."""
    frame = tables.read_table(table)
    column = target if target is not None else params.data.target
    if column is None:
        raise UserError(
            f"--target: not given; name the column to predict, one of {', '.join(map(str, frame.columns[:12]))}"
        )
    schema.check_column("--target" if target is not None else "data.target", column, frame.columns)
    return column, list(map(str, frame.columns))


def _check_settings(params: Params, name: str, target: str | None, columns: Sequence[str]) -> None:
    """Raise UserError that names all settings of the former table that do not fit the one that is added.

    name: of the file that is added. columns: of its table; none if it is of pictures.
    """
    known = set(columns) - {target}
    asked: dict[str, Sequence[str]] = {"data.drop": params.data.drop, "data.kinds": list(params.data.kinds)}
    asked |= {f"split.{key}": [value] for key in ("group", "time") if (value := getattr(params.split, key)) is not None}
    odd = {key: names for key, all_names in asked.items() if (names := [one for one in all_names if one not in known])}
    if not odd:
        return
    listed = "; ".join(f"{key}: {', '.join(map(repr, names))}" for key, names in odd.items())
    method = params.split.method
    if {"grouped": "split.group", "time": "split.time"}.get(method) in odd:
        listed += f" (then set split.method: auto, in place of {method})"
    raise UserError(
        f"params.yaml still holds settings of the former table {params.data.source} that do not fit {name}, "
        f"where there are no such columns to learn from: {listed}. Remove them from params.yaml, and add it again"
    )


def _check_pictures(place: Path, target: str | None) -> None:
    """Raise UserError if there are no pictures of at least two classes, or a target is named."""
    with pictures.listing(place, str(place)) as found:
        pictures.check_classes([entry.label for entry in found.entries], str(place))
    if target is not None:
        raise UserError(f"--target: {target!r}, but a picture's target is the class that it is of; leave it out")


@contextlib.contextmanager
def _copied(table: Path, place: Path) -> Iterator[None]:
    """Copy the table to its place for good, unless the body fails; refuse to touch another file of that name."""
    if place.exists() or place.with_name(f"{place.name}.dvc").exists():
        same = place.exists() and (place.samefile(table) or pipeline.hash_path(table) == pipeline.hash_path(place))
        if not same:
            raise UserError(
                f"{RAW / place.name}: there is another file of this name; "
                f"rename yours, or copy it over the old one yourself if it is a newer version"
            )
        yield
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        _copy(table, place)
        yield
    except BaseException:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)
        raise


def _copy(table: Path, place: Path) -> None:
    """Copy a table or a folder such that a kill leaves all of it at its place or nothing, on one file system."""
    aside = place.parents[2] / ".work" / "added"
    shutil.rmtree(aside, ignore_errors=True)  # of a command that was killed
    aside.mkdir(parents=True)
    copy = aside / place.name
    try:
        if table.is_dir():
            shutil.copytree(table, copy)
        else:
            shutil.copyfile(table, copy)
        shutil.move(copy, place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


if __name__ == "__main__":
    from flows import cli

    cli.run(["add", *sys.argv[1:]])
