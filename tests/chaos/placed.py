"""Faults at an exact place: the n-th write, sync or rename of a file, and the byte of that write.

Python's own files and `os` are replaced in the process under test, and in its forks. What libraries write without them
(parquet, SQLite) is not seen; the small disk of `full-disk` is for those.
"""

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Operation = Literal["write", "fsync", "replace", "replaced"]
Act = Literal["kill group", "kill process", "full"]
_REAL_OPEN, _REAL_WRITE, _REAL_FSYNC, _REAL_REPLACE, _REAL_RENAME = io.open, os.write, os.fsync, os.replace, os.rename


@dataclass
class Fault:
    """What happens, and where.

    matches: whether a file, by its path, is meant. operation: `replaced` is the moment after. nth: counted from 1, in
    each process for itself. fraction: of the bytes of that write, how many still get through. act: what happens then;
    `full` is a disk that takes no more, for so many operations. note: a file that says that it has happened; a kill
    happens once.
    """

    matches: Callable[[str], bool]
    operation: Operation
    nth: int
    act: Act
    note: Path
    fraction: float = 0.0
    times: int = 10**9
    seen: int = field(default=0, init=False)

    def strikes(self, operation: Operation, path: str) -> bool:
        """Return whether it is to happen now."""
        if operation != self.operation or not self.matches(path):
            return False
        self.seen += 1
        if self.act == "full":
            return self.nth <= self.seen < self.nth + self.times
        return self.seen >= self.nth and not self.note.exists()

    def part(self, content: Any) -> memoryview:
        """Return what gets through of a write."""
        bytes_ = memoryview(content).cast("B")
        is_first = self.act != "full" or self.seen == self.nth
        return bytes_[: int(self.fraction * len(bytes_)) if is_first else 0]

    def happen(self, path: str) -> None:
        """Let it happen."""
        descriptor = os.open(self.note, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        _REAL_WRITE(descriptor, f"{self.act} at {self.operation} {self.seen} of {path}\n".encode())
        os.close(descriptor)
        if self.act == "kill group":
            os.killpg(0, signal.SIGKILL)
            signal.pause()
        elif self.act == "kill process":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


class _Watched(io.FileIO):
    """A file whose writes the fault sees."""

    fault: Fault
    path: str

    def write(self, content: Any) -> int:
        if self.fault.strikes("write", self.path):
            part = self.fault.part(content)
            # As a disk that is about to be full: it first takes less than it was given, and then nothing.
            written = super().write(part) if part else 0
            if written and self.fault.act == "full":
                return written
            self.fault.happen(self.path)
        return super().write(content)


def install(fault: Fault) -> None:
    """Have the fault happen in this process."""

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: Any = None,
        errors: Any = None,
        newline: Any = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        path = _path(file)
        if not set(mode) & set("wax+") or not fault.matches(path):
            return _REAL_OPEN(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = _Watched(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        raw.fault, raw.path = fault, path
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline, buffering == 1)
        text.mode = mode
        return text

    def write(descriptor: int, content: Any) -> int:
        path = _path(descriptor)
        if fault.strikes("write", path):
            part = fault.part(content)
            written = _REAL_WRITE(descriptor, part) if part else 0
            if written and fault.act == "full":
                return written
            fault.happen(path)
        return _REAL_WRITE(descriptor, content)

    def fsync(descriptor: Any) -> None:
        path = _path(descriptor if isinstance(descriptor, int) else descriptor.fileno())
        if fault.strikes("fsync", path):
            fault.happen(path)
        _REAL_FSYNC(descriptor)

    def renaming(real: Callable[..., None]) -> Callable[..., None]:
        def replace(source: Any, target: Any, **options: Any) -> None:
            path = _path(target)
            if fault.strikes("replace", path):
                fault.happen(path)
            real(source, target, **options)
            if fault.strikes("replaced", path):
                fault.happen(path)

        return replace

    io.open = builtins.open = opened  # type: ignore[assignment]
    os.write, os.fsync = write, fsync  # type: ignore[assignment]
    os.replace, os.rename = renaming(_REAL_REPLACE), renaming(_REAL_RENAME)


def _path(file: Any) -> str:
    if isinstance(file, int):
        try:
            return os.readlink(f"/proc/self/fd/{file}")
        except OSError:
            return ""
    return os.path.abspath(os.fsdecode(file))
