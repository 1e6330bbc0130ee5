"""What a search stage has done so far, on disk: an append-only file of results that survives a kill.

One line of JSON a result, in order of arrival, each written through to the disk before the search goes on. A torn
last line, which a kill can leave, is dropped, and its trial runs again.
"""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hone.trial import Result, State, Trial


class Journal:
    """Results of one study, kept in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.results = _read(path)

    def append(self, result: Result) -> None:
        """Write one result and wait until the disk has it."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(to_json(result)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.results.append(result)


def to_json(result: Result) -> dict[str, Any]:
    """Return a result as a value that JSON can hold, exactly: floats survive the round trip to the bit."""
    return asdict(result)


def from_json(record: dict[str, Any]) -> Result:
    """Return the result that `to_json` was given."""
    record = dict(record)
    trial = record.pop("trial")
    trial = Trial(**{**trial, "bar": tuple(trial["bar"])})
    record["curve"] = tuple(record["curve"])
    record["folds"] = tuple(map(tuple, record["folds"]))
    return Result(trial=trial, state=State(record.pop("state")), **record)


def _read(path: Path) -> list[Result]:
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("rb+") as file:  # or the next result would be glued to the torn line
            file.truncate(len(whole))
    return [from_json(json.loads(line)) for line in whole.splitlines()]
