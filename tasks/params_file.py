"""Edits params.yaml as a person would: its comments and its order stay."""

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from hone.errors import UserError
from tasks import files, plain_yaml, project

PARAMS = "params.yaml"
OVERRIDES = ".work/overrides"
BEFORE, DURING = "before.yaml", "during.yaml"
"""Files in OVERRIDES: params.yaml as it was before a run with overrides, and as it is during that run."""


def set_params(path: Path, values: Mapping[str, object], section: str = "data") -> None:
    """Write values into a section of a params.yaml, whose comments and order stay."""
    keys = {f"{section}.{name}": value for name, value in values.items()}
    files.write_text(path, edited(path.read_text(encoding="utf-8"), keys))


def edited(text: str, values: Mapping[str, object]) -> str:
    """Return the text of a params.yaml with new values. values: by dotted key, e.g. ``train.epochs``.

    Raises UserError for a key that goes through a value that is no section.
    """
    yaml = YAML(typ="rt")  # keeps comments, and builds no objects of tags
    yaml.preserve_quotes = True
    yaml.width = 4096
    content = yaml.load(text) or {}
    for key, value in values.items():
        *above, name = key.split(".")
        if not all((*above, name)):
            raise UserError(f"{key!r} is no key of params.yaml; write it like train.epochs")
        section = content
        for part in above:
            if section.get(part) is None:
                section[part] = {}
            section = section[part]
            if not isinstance(section, Mapping):
                raise UserError(f"{key}: {part} is a value, not a section; name a key of params.yaml")
        if isinstance(section.get(name), list) and isinstance(value, list):
            section[name][:] = _quoted(value)
        else:
            section[name] = _quoted(value)
    written = StringIO()
    yaml.dump(content, written)
    return written.getvalue()


def is_mapping(root: Path) -> bool:
    """Return whether params.yaml can be read, and holds keys and values, or nothing."""
    try:
        return isinstance(plain_yaml.parse((root / PARAMS).read_text(encoding="utf-8-sig")) or {}, dict)
    except (yaml.YAMLError, UnicodeDecodeError):
        return False


@contextlib.contextmanager
def overridden(root: Path, overrides: Mapping[str, object], warn: Callable[[str], None]) -> Iterator[None]:
    """Give params.yaml other values for as long as the block lasts. overrides: by dotted key; may be empty.

    A kill leaves the other values there, until `restore` is called. warn: told, in a line, if the file was edited
    meanwhile: then it stays as edited.
    """
    if not overrides:
        yield
        return
    before = (root / PARAMS).read_bytes()  # bytes: lines may end in \r\n
    during = edited(before.decode(), overrides)
    files.write_bytes(root / OVERRIDES / BEFORE, before)
    files.write_text(root / OVERRIDES / DURING, during)
    try:
        files.write_text(root / PARAMS, during)
        yield
    finally:
        restore(root, warn)


def restore(root: Path, warn: Callable[[str], None]) -> None:
    """Put params.yaml back as it was before a run with overrides, also one that was killed.

    Nothing happens if there was none, and a file that was edited since stays, with a warning; so does before.yaml
    then. The project's lock must be held.
    """
    kept = root / OVERRIDES
    if (kept / BEFORE).is_file() and (kept / DURING).is_file():
        if (root / PARAMS).read_bytes() == (kept / DURING).read_bytes():
            files.write_bytes(root / PARAMS, (kept / BEFORE).read_bytes())
        elif (root / PARAMS).read_bytes() != (kept / BEFORE).read_bytes():
            (kept / DURING).unlink()  # it is said once
            warn(
                "params.yaml was edited during a run with overrides, so it stays as it is, overrides included; "
                f"as it was before stands in {OVERRIDES}/{BEFORE}: compare the two, and undo the overrides"
            )
            return
    if (kept / DURING).is_file() or not (kept / BEFORE).is_file():
        shutil.rmtree(kept, ignore_errors=True)


def restore_if_free(root: Path, warn: Callable[[str], None]) -> None:
    """Do what `restore` does, unless another process is at work in the project: then its overrides are in use."""
    if (root / OVERRIDES / DURING).is_file() and not project.is_held(root):
        with contextlib.suppress(project.LockedError), project.lock(root, "hone"):
            restore(root, warn)


def _quoted(value: object) -> Any:
    """Return a value whose texts have quotes where they need them; ruamel's YAML 1.2 has `yes` and 12:30 for text."""
    if isinstance(value, list):
        return [_quoted(one) for one in value]
    if isinstance(value, Mapping):
        return {name: _quoted(one) for name, one in value.items()}
    return DoubleQuotedScalarString(value) if isinstance(value, str) and not plain_yaml.is_text(value) else value
