"""What a tracker is told: entries, the two methods that every tracker has, and the trackers that only hand on."""

import contextlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, final, get_args

Kind = Literal["pipeline", "stage", "trial"]
Status = Literal["running", "finished", "failed", "killed"]
Point = tuple[str, float, int]
Context = Literal["training", "validation", "test"]


class RefusedError(Exception):
    """An entry that its tracker will never take, however often it is sent."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Rows that a run used. digest: a hash of their file. source: where they come from, as values that JSON can hold.

    context: what the run used them for. n_rows, n_columns: their size.
    """

    name: str
    digest: str
    context: Context
    source: Mapping[str, str] = field(default_factory=dict)
    n_rows: int = 0
    n_columns: int = 0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something to record about one run; JSON can hold it, so it can wait in a file.

    key: names the run, uniquely and for good: "<pipeline>", "<pipeline>/<stage>" or "<pipeline>/<stage>/<number>".
    parent: the key of the run above it. metrics: (name, value, step); a point (name, step) is recorded once.
    files: paths relative to the project, kept as artifacts. digests: SHA-256 of some of these, when this was logged:
    one that has changed since belongs to a later run, and is left out. facts: values that JSON can hold, by name; all
    of a run's are kept in one file. datasets: the rows that the run used. views: by key, how a tracker's page is to
    show runs (see tasks/tracking/views.py). seconds: how long the work took.
    at: when it was logged, in seconds since 1970; filled in by the tracker if None.
    A running entry may be followed by more with its key, which add to it; a finished or failed trial is complete,
    a pipeline or stage runs again if its next entry says so.
    """

    key: str
    kind: Kind
    name: str
    parent: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Point, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    views: Mapping[str, str] = field(default_factory=dict)
    status: Status = "running"
    seconds: float | None = None
    at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the entry as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the entry that `to_json` was called on. Raises KeyError, TypeError or ValueError if it is none."""
        known = {name: content[name] for name in (item.name for item in fields(cls)) if name in content}
        points = tuple((name, float(value), step) for name, value, step in content["metrics"])
        datasets = tuple(Dataset(**each) for each in content.get("datasets", ()))  # an earlier version's has none
        found = cls(**{**known, "metrics": points, "files": tuple(content["files"]), "datasets": datasets})
        texts = [found.key, found.name, *found.files, *(name for name, _, _ in points)]
        for mapping in (found.params, found.tags, found.views, *(each.source for each in datasets)):
            texts += [*mapping, *mapping.values()] if isinstance(mapping, dict) else [mapping]
        for each in datasets:
            texts += [each.name, each.digest]
        texts += [] if found.parent is None else [found.parent]
        numbers = [found.seconds, found.at]
        # What no tracker could take would be sent again and again, and all that waits behind it never.
        if (
            found.kind not in get_args(Kind)
            or found.status not in get_args(Status)
            or not all(isinstance(text, str) for text in texts)
            or not isinstance(found.facts, dict)
            or not all(each.context in get_args(Context) for each in datasets)
            or not all(type(size) is int for each in datasets for size in (each.n_rows, each.n_columns))
            or not all(type(step) is int and abs(step) < 2**63 for _, _, step in points)
            or not all(
                number is None or (type(number) in (int, float) and abs(number) < math.inf) for number in numbers
            )
        ):
            raise ValueError("not an entry")
        return found


def as_tags(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return facts as tags hold them: texts as they are, all else as JSON."""
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}


class Tracker(ABC):
    """Records runs somewhere."""

    @abstractmethod
    def log(self, entry: Entry) -> None:
        """Record an entry; the same entry again adds nothing.

        Raises RefusedError if the entry can never be recorded, and anything else if it may be worth trying again.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of whatever is open; nothing is logged afterwards."""

    def secure(self) -> None:  # noqa: B027 (most have nothing to do)
        """Return once all that was logged outlives this process; raise OSError if a full disk does not let it."""

    @property
    def down(self) -> frozenset[str]:
        """The names of those trackers that could not record, for now, what they were told last."""
        return frozenset()


@final
class NullTracker(Tracker):
    """Records nothing."""

    def log(self, entry: Entry) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


@final
class Fanout(Tracker):
    """Tells several trackers."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = tuple(trackers)

    def log(self, entry: Entry) -> None:
        """Tell every tracker."""
        for tracker in self._trackers:
            tracker.log(entry)

    def secure(self) -> None:
        """Have every tracker do so."""
        for tracker in self._trackers:
            tracker.secure()

    @property
    def down(self) -> frozenset[str]:
        """The names of those that are."""
        return frozenset().union(*(tracker.down for tracker in self._trackers))

    def close(self) -> None:
        """Close every tracker, also behind one that raises."""
        with contextlib.ExitStack() as stack:
            for tracker in self._trackers:
                stack.callback(tracker.close)


@final
class WithoutTrials(Tracker):
    """Hands on pipelines and stages only."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def log(self, entry: Entry) -> None:
        """Hand on the entry unless it is a trial's."""
        if entry.kind != "trial":
            self._tracker.log(entry)

    def secure(self) -> None:
        """Have the tracker do so."""
        self._tracker.secure()

    @property
    def down(self) -> frozenset[str]:
        """The tracker's."""
        return self._tracker.down

    def close(self) -> None:
        """Close the tracker."""
        self._tracker.close()
