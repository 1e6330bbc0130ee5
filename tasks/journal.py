"""What a search stage has done so far, on disk: an append-only file of results that survives a kill.

One line a result, in order of arrival: a digest, and the result as JSON. Each is written through to the disk before the
search goes on. A line that is not what was written, such as the torn last one that a kill can leave, is dropped, and
its trial runs again.
"""

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hone.trial import Result, State, Trial
from tasks import files, lines


class Journal:
    """Results of one study, kept in one file. n_damaged: lines that were dropped when it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
        found = [(line, _parsed(line)) for line in whole]
        self.results = [result for _, result in found if result is not None]
        self.n_damaged = len(found) - len(self.results)
        sound = b"".join(line for line, result in found if result is not None)
        if sound != content:  # or the next result would be glued to a torn line
            files.write_bytes(path, sound)

    def append(self, result: Result) -> None:
        """Write one result and wait until the disk has it."""
        size = self._path.stat().st_size if self._path.exists() else 0
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(lines.sealed(json.dumps(to_json(result))))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                os.truncate(self._path, size)  # what goes on in this process must not be glued to a torn line
            raise
        self.results.append(result)


def of(store: Path, study: str) -> Path:
    """Return where the journal of a study is. store: the folder of its checkpoints."""
    return store.parent / f"{study}.jsonl"


def read(path: Path) -> list[Result]:
    """Return the results in a journal that another process may be writing, and leave it as it is."""
    content = path.read_bytes() if path.exists() else b""
    return [result for line in content.splitlines(keepends=True) if (result := _parsed(line)) is not None]


def to_json(result: Result) -> dict[str, Any]:
    """Return a result as a value that JSON can hold, exactly: floats survive the round trip to the bit."""
    return asdict(result)


def from_json(record: dict[str, Any]) -> Result:
    """Return the result that `to_json` was given."""
    record = dict(record)
    trial = record.pop("trial")
    trial = Trial(**{**trial, "bar": tuple(trial["bar"])})
    record["curve"] = tuple(record["curve"])
    record["losses"] = tuple(record["losses"])
    record["folds"] = tuple(map(tuple, record["folds"]))
    return Result(trial=trial, state=State(record.pop("state")), **record)


def _parsed(line: bytes) -> Result | None:
    """Return the result of a line, or None if it is not as it was written."""
    if (text := lines.unsealed(line)) is None:
        return None
    try:
        return from_json(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None  # somebody made a line with the right digest
