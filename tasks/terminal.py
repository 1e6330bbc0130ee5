"""The terminal: live progress where there is one, plain lines elsewhere, and how a command ends."""

import contextlib
import errno
import os
import re
import select
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, NoReturn, TextIO

from hone.errors import UserError, of_the_machine, printable
from tasks import project
from tasks.reporting import GenerationInfo, NullReporter, PlainReporter, Reporter, duration, plain, table_blocks
from tasks.tracking.uri import hidden

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

BEGAN = time.monotonic()
"""When this process came to its work."""
ADDRESS = re.compile(r"://\S+$")  # at the end of a text
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
AT_ONCE = 0.2
"""Seconds below which a generation was not trained, but read from a journal."""
ENOUGH = 0.05
"""Share of the search's budget from whose time the rest is estimated."""
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


def doing(reporter: Reporter, what: str) -> None:
    """Say what a command is about to do: in a terminal on the live line, elsewhere in a line that stays."""
    if isinstance(reporter, RichReporter):
        reporter.stage_started(what)
    else:
        reporter.message(f"{what} …")


def hush_warnings() -> None:
    """Turn off Python's warnings, which are for whoever writes a library, in this process and those it starts.

    Not so where a person asks for them, with `PYTHONWARNINGS` or `python -W`. Errors are not affected.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"


class RichReporter:
    """A live line for what runs now, above it a line for each thing that is done."""

    def __init__(self, console: "Console | None" = None) -> None:
        # Imported here: rich costs a tenth of a second that `python -m tasks.run` in a pipe need not pay.
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console()
        self._name: str | None = None
        self._info: GenerationInfo | None = None
        self._end = TimeLeft()
        self._spaced = False
        self._live = Live(
            console=self._console,
            transient=True,
            refresh_per_second=4,  # more would take the trials' time on a small machine
            get_renderable=self._line,
        )

    def stage_started(self, name: str) -> None:
        """Show the stage on the live line."""
        self._name, self._info = name, None
        self._live.start(refresh=True)

    def stage_finished(self, name: str, seconds: float, note: str = "") -> None:
        """Print a line that stays. The live line goes on: what the stage wrote is taken into DVC and MLflow."""
        self._name, self._info = f"finishing {name}", None
        self._say("✓ ", "green", f"{name:<18}", f"{duration(seconds):>12}" + (f"  {note}" if note else ""))

    def stage_skipped(self, name: str, note: str = "up to date") -> None:
        """Print a line that stays."""
        self._say("· ", "dim", f"{name:<18}", f"{note:>12}")

    def generation(self, info: GenerationInfo) -> None:
        """Move the live line on. A phase within a stage takes the stage's line."""
        self._name, self._info = info.stage, info
        self._end.heard(info, time.monotonic())
        self._live.start(refresh=True)

    def message(self, text: str) -> None:
        """Print a line that stays."""
        self._say("", "none", text)

    def warning(self, text: str) -> None:
        """Print a line that stays, in yellow."""
        self._say("! ", "yellow", text)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table that fits into the terminal."""
        from rich.text import Text

        self._space()
        if title:
            self._console.print(Text(plain(title), style="bold"))
        for number, (header, rule, *lines) in enumerate(table_blocks(columns, rows, self._console.width)):
            text = Text("\n" if number else "")
            text.append(f"{header}\n", "bold").append(rule, "dim")
            text.append("".join(f"\n{line}" for line in lines))
            self._console.print(text, no_wrap=True, overflow="ignore", crop=False)
        self._spaced = False
        self._space()

    def close(self) -> None:
        """Take the live line away."""
        self._clear()

    def _say(self, sign: str, style: str, *parts: str) -> None:
        from rich.text import Text

        text = Text.assemble((sign, style), *map(plain, parts))
        # A terminal breaks an address itself, and still takes it for one.
        self._console.print(text, highlight=False, soft_wrap=ADDRESS.search(text.plain) is not None)
        self._spaced = False

    def _space(self) -> None:
        """Print a blank line, unless there is one."""
        if not self._spaced:
            self._console.print()
        self._spaced = True

    def _line(self) -> "Text":
        """Return the live line: phase, trials, best score, time used, and time left once it is known."""
        from rich.text import Text

        now, info = time.monotonic(), self._info
        words = [plain(self._name or "")]
        if info is not None:
            words.append(f"{info.n_trials} trial{'s' * (info.n_trials != 1)}")
            words += [] if info.best is None else [f"{info.metric} {info.best:.4f}"]
        words.append(f"{clock(now - BEGAN)} used")
        if (left := self._end.left(now)) is not None:
            words.append(f"{left} left")
        if info is not None and info.n_failed:
            words.append(f"{info.n_failed} failed")  # last, so that this is what a narrow terminal cuts
        sign = SPINNER[int(4 * now) % len(SPINNER)]
        return Text.assemble((f"{sign} ", "green"), "  ".join(words), no_wrap=True, overflow="ellipsis")

    def _clear(self) -> None:
        self._live.stop()


class TimeLeft:
    """When a run ends: by its time limit, or else when its search does, by the share of the budget that is spent."""

    def __init__(self) -> None:
        self._until: float | None = None
        self._first: tuple[float, float] | None = None
        self._last = 0.0
        self._search_ends: float | None = None

    def heard(self, info: GenerationInfo, now: float) -> None:
        """Take note of a generation that ended now, in seconds of `time.monotonic`."""
        self._until = info.until
        if info.done is None:
            self._search_ends = None
            return
        if self._first is None or now - self._last < AT_ONCE:
            self._first = now, info.done  # one that the journal knew took no time, and says nothing of the next
        self._last = now
        began, before = self._first
        if info.done - before >= ENOUGH:
            self._search_ends = now + max(0.0, 1 - info.done) * (now - began) / (info.done - before)

    def left(self, now: float) -> str | None:
        """Return the time left as a clock shows it, with a ~ if it is an estimate of the search's; None if unknown."""
        if self._until is not None:
            return clock(max(0.0, self._until - now))
        # An estimate that has run out says nothing.
        return None if self._search_ends is None or self._search_ends <= now else f"~{clock(self._search_ends - now)}"


def clock(seconds: float) -> str:
    """Return a length of time as a clock shows it: ``0:07``, ``12:05``, ``1:02:05``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


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
