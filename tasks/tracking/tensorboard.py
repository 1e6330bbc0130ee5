"""Runs as TensorBoard's event files: a folder a run, a chart a metric."""

import contextlib
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, final

from hone.errors import UserError
from tasks.tracking.entry import Entry, Point, Tracker, as_tags

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

FACT, TEXT = "provenance/", "/text_summary"
"""How a fact's name begins in an event file, and how TensorBoard ends the name of every text."""


@final
class TensorBoardTracker(Tracker):
    """Writes `folder`/<pipeline>/<stage>/<number>/events.out.tfevents.*; points already there are not written again.

    Raises UserError if TensorBoard is not installed. Values that are not finite are left out.
    """

    def __init__(self, folder: Path) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise UserError(
                "tracking.tensorboard: true needs the package tensorboard, which is not installed; "
                "pip install 'hone-tuning[tensorboard]' or set it to false"
            )
        self._folder = folder
        self._writers: dict[str, SummaryWriter] = {}
        self._points: dict[str, set[tuple[str, int]]] = {}

    def log(self, entry: Entry) -> None:
        """Write the points that are new; with a run's first, its params and tags as text.

        Each fact is a text of its own, written once.
        """
        pipeline, *rest = entry.key.split("/")
        folder = self._folder.joinpath(pipeline[:12], *rest)  # a pipeline's key is a long hash
        known = self._points.get(entry.key)
        is_first = known is None and not folder.is_dir()
        if known is None:
            known = self._points[entry.key] = _read(folder)
        finite = [point for point in entry.metrics if math.isfinite(point[1])]
        points = [(name, value, step) for name, value, step in finite if (name, step) not in known]
        facts = {FACT + name: value for name, value in as_tags(entry.facts).items()}
        new = {name: value for name, value in facts.items() if (name + TEXT, 0) not in known}
        if points or new or (is_first and (entry.params or entry.tags)):
            writer = self._writer(entry.key, folder)
            self._write(writer, entry, points, new, about=is_first)
            known.update((name, step) for name, _, step in points)
            known.update((name + TEXT, 0) for name in new)
            writer.flush()
        if entry.kind == "trial":  # thousands of open files would be too many
            self._forget(entry.key)

    def close(self) -> None:
        """Close every file."""
        for key in list(self._writers):
            self._forget(key)

    def _write(
        self, writer: "SummaryWriter", entry: Entry, points: list[Point], facts: Mapping[str, str], *, about: bool
    ) -> None:
        if about:
            rows = "".join(f"| {name} | {value} |\n" for name, value in {**entry.params, **entry.tags}.items())
            writer.add_text("about", f"| {entry.name} | |\n|---|---|\n{rows}", walltime=entry.at)
        for name, fact in facts.items():
            writer.add_text(name, fact, global_step=0, walltime=entry.at)
        for name, value, step in points:
            writer.add_scalar(name, value, step, walltime=entry.at)

    def _writer(self, key: str, folder: Path) -> "SummaryWriter":
        from torch.utils.tensorboard.writer import SummaryWriter

        if key not in self._writers:
            # Appending to a file whose last record a kill cut short would hide all that follows: a new file each time.
            self._writers[key] = SummaryWriter(str(folder))
        return self._writers[key]

    def _forget(self, key: str) -> None:
        self._points.pop(key, None)
        with contextlib.suppress(KeyError):
            self._writers.pop(key).close()


def _read(folder: Path) -> set[tuple[str, int]]:
    """Return the (metric, step) pairs in a run's event files; a record that a kill cut short ends its file."""
    files = sorted(folder.glob("events.out.tfevents.*"))
    if not files:
        return set()
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader  # type: ignore[import-untyped]

    events = (event for file in files for event in LegacyEventFileLoader(str(file)).Load())
    return {(value.tag, int(event.step)) for event in events for value in event.summary.value}
