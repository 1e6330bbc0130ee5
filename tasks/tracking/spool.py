"""A tracker in front of another one, so that tracking is never waited for and never loses an entry."""

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TextIO, final

from tasks import lines
from tasks.tracking.entry import Entry, RefusedError, Tracker
from tasks.tracking.uri import one_line

LONGEST_WAIT = 60.0
DOWN = 1.0


def ignore(text: str) -> None:
    """Do nothing with a warning."""


@final
class SpoolingTracker(Tracker):
    """Sends entries to a tracker from one thread of its own, in order, and keeps them in a file until they are sent.

    An entry is in the file before `log` returns, so it outlives a kill; the next tracker with the same file sends
    what it finds there first. What was sent just before a kill is sent again, which adds nothing (see Tracker.log).
    Each line has a digest: one that is not as it was written is left out, and not taken for another entry.

    name: what a warning calls the tracker. warn: called from the thread, with one line, at the first failure and
    the first refusal. retry: seconds before the second attempt; they double up to a minute. patience: seconds that
    `close` waits for what is queued; the rest stays in the file. It waits for one attempt only where the last failed,
    and no longer than DOWN seconds.
    """

    def __init__(
        self,
        tracker: Tracker,
        file: Path,
        *,
        name: str,
        warn: Callable[[str], None] = ignore,
        retry: float = 1.0,
        patience: float = 30.0,
    ) -> None:
        self._tracker = tracker
        self._file = file
        self._name = name
        self._warn = warn
        self._retry = retry
        self._patience = patience
        self._changed = threading.Condition()
        found, n_damaged = _read(file)
        self._entries: deque[Entry] = deque(found)
        self._handle: TextIO | None = None
        self._closing = False
        self._abandoned = False
        self._unwritten = self._hurry = False
        self._down = False
        self._warned: set[str] = set()
        # A daemon: a server that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._send, name=f"track-{name}", daemon=True)
        if n_damaged:
            self._warn_once("damaged", f"{n_damaged} lines of its spool are torn or damaged, and left out")
        if self._entries:
            self._thread.start()

    def log(self, entry: Entry) -> None:
        """Put the entry in the queue; raise RuntimeError if the tracker is closed."""
        if entry.at is None:
            entry = replace(entry, at=time.time())
        with self._changed:
            if self._closing:
                raise RuntimeError("the tracker is closed")
            self._append(entry)
            self._entries.append(entry)
            self._changed.notify_all()
            if self._thread.ident is None:
                self._thread.start()

    def secure(self) -> None:
        """Return once every entry is in the file or sent; raise OSError if the file takes none, and nobody else."""
        with self._changed:
            if not self._unwritten:
                return
            try:
                self._rewrite()
            except OSError:
                self._hurry, self._down = True, False  # it may be a minute to the next attempt
                self._changed.notify_all()
                self._changed.wait_for(lambda: not self._entries or self._down, self._patience)
                if self._entries:
                    raise

    @property
    def down(self) -> frozenset[str]:
        """Its name, if the last attempt to send something failed."""
        return frozenset({self._name} if self._down else ())

    def close(self) -> None:
        """Send what is queued, or leave it in the file once patience ends."""
        with self._changed:
            self._closing = True
            patience = min(self._patience, DOWN) if self._down else self._patience
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(patience)
        with self._changed:
            self._abandoned = True
            self._compact()
            if self._entries and not self._warned:
                self._warn_once("slow", f"{len(self._entries)} entries were not taken in {self._patience:g} s")

    def _send(self) -> None:
        wait = self._retry
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._entries or self._closing)
                if not self._entries:
                    break
                entry, last_attempt = self._entries[0], self._closing
            try:
                self._tracker.log(entry)
            except RefusedError as error:
                self._warn_once("refused", f"it refuses {entry.key} ({one_line(error)}), which is left out")
            except Exception as error:
                self._warn_once("failed", f"it takes no entries now ({one_line(error)})")
                with self._changed:
                    self._down = True
                    self._changed.notify_all()
                    if last_attempt or self._abandoned:
                        break
                    self._changed.wait_for(lambda: self._closing or self._hurry, wait)
                    self._hurry = False
                wait = min(2 * wait, LONGEST_WAIT)
                continue
            wait = self._retry
            with self._changed:
                self._down = False
                self._entries.popleft()
                self._changed.notify_all()
                if self._abandoned:  # close() has given up waiting and left the file as it should be
                    return
                if not self._entries:
                    self._compact()
        try:
            self._tracker.close()
        except Exception as error:
            self._warn_once("failed", f"it does not close ({one_line(error)})")

    def _append(self, entry: Entry) -> None:
        try:
            if self._handle is None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._handle = self._file.open("a", encoding="utf-8")
            # The newline comes first too: the file may end in a line that a kill or a full disk cut short.
            self._handle.write(f"\n{_line(entry)}")
            self._handle.flush()
        except OSError as error:
            with contextlib.suppress(OSError):  # it still holds what could not be written
                self._let_go()
            self._unwritten = True
            self._warn_once("unwritten", f"its spool cannot be written ({one_line(error)}); entries wait in memory")

    def _let_go(self) -> None:
        """Close the file, which is as good as closed if that fails."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _compact(self) -> None:
        """Leave just what is not yet sent in the file."""
        try:
            self._rewrite()
        except OSError as error:
            self._warn_once("unwritten", f"its spool cannot be written ({one_line(error)}); some entries may be lost")

    def _rewrite(self) -> None:
        with contextlib.suppress(OSError):
            self._let_go()
        if self._entries:
            part = self._file.with_suffix(".part")
            self._file.parent.mkdir(parents=True, exist_ok=True)
            part.write_text("".join(map(_line, self._entries)), encoding="utf-8")
            os.replace(part, self._file)
        else:
            self._file.unlink(missing_ok=True)
        self._unwritten = False

    def _warn_once(self, kind: str, text: str) -> None:
        if kind in self._warned:
            return
        self._warned.add(kind)
        place = Path(*self._file.parts[-3:]).as_posix()  # .work/spool/<name>.jsonl
        waits = kind not in ("refused", "unwritten", "damaged")
        waiting = f"; the work goes on, entries wait in {place} and are sent later" if waits else ""
        self._warn(f"tracking with {self._name}: {text}{waiting}")


def read(file: Path) -> list[Entry]:
    """Return the entries in a spool file; lines that are torn or damaged are left out."""
    return _read(file)[0]


def _read(file: Path) -> tuple[list[Entry], int]:
    """Return the entries in a spool file, and how many lines are none."""
    try:
        content = file.read_bytes()
    except OSError:
        return [], 0
    entries, n_damaged = list[Entry](), 0
    for line in filter(bytes.strip, content.splitlines(keepends=True)):
        try:
            entries.append(Entry.from_json(json.loads(lines.unsealed(line) or "")))
        except (ValueError, KeyError, TypeError, RecursionError):
            n_damaged += 1
    return entries, n_damaged


def _line(entry: Entry) -> str:
    return lines.sealed(json.dumps(entry.to_json()))
