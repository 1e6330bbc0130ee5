"""The terminal: live progress where there is one, plain lines elsewhere, and how a command ends."""

import contextlib
import errno
import os
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, NoReturn, TextIO

from hone.errors import UserError, of_the_machine, printable
from tasks import project
from tasks.reporting import GenerationInfo, NullReporter, PlainReporter, Reporter, duration, plain
from tasks.tracking.uri import hidden

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

SOON = 0.02
"""Seconds after which a SIGTERM is heard that Python dropped."""
ERROR_LOG = ".work/error.log"
PIPE_CLOSED = 141  # what a shell says of a command that SIGPIPE ended
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)
"""Refusals of the operating system that are about a file of the person's."""
GO_ON = "run the same command to go on where it stopped"


@contextlib.contextmanager
def open_reporter(*, quiet: bool = False) -> Iterator[Reporter]:
    """Yield the reporter that fits standard output, and leave the terminal tidy afterwards."""
    reporter: Reporter
    if quiet:
        reporter = NullReporter()
    elif sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        reporter = RichReporter()
    else:
        reporter = PlainReporter()
    try:
        yield reporter
    finally:
        reporter.close()


class RichReporter:
    """A live line for what runs now, above it a line for each thing that is done."""

    def __init__(self, console: "Console | None" = None) -> None:
        # Imported here: rich costs a tenth of a second that `python -m tasks.run` in a pipe need not pay.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
        from rich.table import Column

        self._console = console or Console()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=8),
            TimeRemainingColumn(compact=True, table_column=Column(no_wrap=True)),
            TextColumn("left", style="dim", table_column=Column(no_wrap=True)),
            # Last, so that this is what a narrow terminal cuts.
            TextColumn("{task.fields[status]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
            console=self._console,
            transient=True,
            refresh_per_second=4,  # more would take the trials' time on a small machine
            speed_estimate_period=300,  # generations are seldom
        )
        self._lines: dict[str, TaskID] = {}

    def stage_started(self, name: str) -> None:
        """Show the stage on the live line."""
        self._progress.start()
        self._clear()
        self._line(name)

    def stage_finished(self, name: str, seconds: float, note: str = "") -> None:
        """Print a line that stays."""
        self._clear()
        self._say("✓ ", "green", f"{name:<18}", f"{duration(seconds):>12}" + (f"  {note}" if note else ""))

    def stage_skipped(self, name: str, note: str = "up to date") -> None:
        """Print a line that stays."""
        self._say("· ", "dim", f"{name:<18}", f"{note:>12}")

    def generation(self, info: GenerationInfo) -> None:
        """Move the live line on."""
        best = "" if info.best is None else f"{info.metric} {info.best:.4f}, "
        failed = f", {info.n_failed} failed" if info.n_failed else ""
        status = f"gen {info.index + 1}, {best}{info.spent:.0f}/{info.budget:.0f} epochs{failed}"
        # A phase may end below its budget, never above; one without a budget has no end that is known.
        total = info.budget if info.budget > info.spent else None
        self._update(info.stage, total=total, completed=info.spent, status=status)

    def message(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(plain(text), markup=False, highlight=False)

    def warning(self, text: str) -> None:
        """Print a line that stays, in yellow."""
        self._say("! ", "yellow", text)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(plain(title)), title_justify="left", box=SIMPLE_HEAD, title_style="bold")
        for index, column in enumerate(columns):
            table.add_column(Text(plain(column)), justify="left" if index == 0 else "right")
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        self._console.print(table)

    def close(self) -> None:
        """Take the live line away."""
        self._clear()
        self._progress.stop()

    def _say(self, sign: str, style: str, *parts: str) -> None:
        from rich.text import Text

        self._console.print(Text.assemble((sign, style), *map(plain, parts)), highlight=False)

    def _update(self, name: str, *, total: float | None, completed: float, status: str = "") -> None:
        self._line(name)
        self._progress.update(self._lines[name], total=total, completed=completed, status=status)

    def _line(self, name: str) -> None:
        if name in self._lines:
            return
        if self._lines:  # a phase within a stage takes the stage's line
            self._clear()
        self._lines[name] = self._progress.add_task(name, total=None, status="")

    def _clear(self) -> None:
        for line in self._lines.values():
            self._progress.remove_task(line)
        if self._lines:
            self._lines.clear()
            self._progress.refresh()


def guarded(work: Callable[[], object]) -> int:
    """Do the work of a command; return its exit code, after saying on standard error what went wrong, if so.

    0, or the number that the work returns: done. 2: a UserError, whose text is all that is shown, or a full disk and
    the like. 130: Ctrl-C, 143: SIGTERM; what was done is kept, unless the exception says otherwise. 1: anything else:
    one line, and the traceback in a file.
    """
    with _sigterm_as_exception(), _main_left_alone():
        try:
            code = work()
            return code if isinstance(code, int) else 0
        except _Terminated as end:
            _hush()
            return _say(f"ended by SIGTERM; {end.args[0] if end.args else GO_ON}", 143)
        except KeyboardInterrupt as end:
            _hush()
            return _say(f"interrupted; {end.args[0] if end.args else GO_ON}", 130)
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _is_closed(sys.stdout):
                return PIPE_CLOSED
            return report(error)


def _hush() -> None:
    """Pass over what objects raise when they are dropped that an interrupt left half made; `guarded` undoes it."""
    sys.unraisablehook = lambda unraisable: None


def report(error: Exception) -> int:
    """Say on standard error what went wrong, in a line, and return the exit code."""
    if isinstance(error, UserError):
        return _say(f"error: {error}", 2)
    if isinstance(error, OSError) and (failed := of_the_machine(error)) is not None:
        return _say(f"error: {failed}", 2)
    if isinstance(error, OSError) and error.errno in FORBIDDEN and error.filename:
        return _say(f"error: {printable(str(error.filename))}: {error.strerror}; mend that, or name another", 2)
    return report_unexpected(error)


def _is_closed(stream: TextIO) -> bool:
    """Return whether nobody reads any more what is written to a stream, and if so, let it be written to nobody."""
    poller = select.poll()
    poller.register(stream, select.POLLOUT)
    if not any(event & select.POLLERR for _, event in poller.poll(0)):
        return False  # it was another pipe: a process's, say
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # or Python's last flush complains
    return True


def leave(code: int) -> NoReturn:
    """End the process, all work done, with an exit code.

    A Ctrl-C from here on ends it at once; Python would show in which of its own last steps that came.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


def report_unexpected(error: BaseException) -> int:
    """Write the traceback to a file, say so in one line on standard error, and return the exit code 1."""
    lines = [time.strftime("%Y-%m-%d %H:%M:%S "), " ".join(sys.argv), "\n", *traceback.format_exception(error)]
    where = _logged(hidden("".join(lines)))
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return _say(f"error: {what[:300]}; this is a fault of Hone's, and its traceback is {where}", 1)


class _Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextlib.contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """Let SIGTERM unwind the stack, so that locks are freed and children ended.

    Python drops what is raised while it forks or takes garbage away, Ctrl-C's exception too: then it is raised once
    more, a moment later.
    """

    def terminate(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    own, lost = os.getpid(), list[type[BaseException]]()

    def again(number: int, frame: FrameType | None) -> None:
        raise lost.pop()

    def dropped(unraisable: "sys.UnraisableHookArgs") -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt) and os.getpid() != own:
            return  # a fork's, which is to become something else: it is the parent that hears of signals
        if isinstance(unraisable.exc_value, KeyboardInterrupt) and hasattr(signal, "setitimer"):
            lost.append(type(unraisable.exc_value))
            signal.signal(signal.SIGALRM, again)
            signal.setitimer(signal.ITIMER_REAL, SOON)
        else:
            hook(unraisable)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, hook = signal.signal(signal.SIGTERM, terminate), sys.unraisablehook
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)
        if hasattr(signal, "SIGALRM") and signal.getsignal(signal.SIGALRM) is again:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


@contextlib.contextmanager
def _main_left_alone() -> Iterator[None]:
    """Keep worker processes from importing the command's module again, and with it all that it imports."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _logged(text: str) -> str:
    """Return where a text was written: in the project, or else among temporary files, or nowhere."""
    places = [Path(tempfile.gettempdir()) / "hone-error.log"]
    with contextlib.suppress(UserError, OSError):
        places.insert(0, project.find_root() / ERROR_LOG)
    for path in places:
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            return f"in {path}"
    return "lost: no file could be written"


def _say(text: str, code: int) -> int:
    print(plain(text), file=sys.stderr, flush=True)
    return code
