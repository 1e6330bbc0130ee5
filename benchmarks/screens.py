"""Writes docs/terminal.md: what `make tune` leaves in terminals of 80 and of 120 columns, as text.

    python -m benchmarks.screens        # a fresh clone of the working tree for each width; a minute or two each

`watched` runs a command in a pseudo-terminal; tests use it too.
"""

import errno
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "terminal.md"
WIDTHS = (80, 120)
ROWS = 24
MARK = "<!-- The screens below are written by `python -m benchmarks.screens`. -->"
ADDRESS = re.compile(r"://\S+$")
WIDE = 1000  # columns of a terminal in which nothing wraps


@dataclass(frozen=True)
class Watched:
    """What a command wrote to a terminal of so many columns, and its exit code."""

    code: int
    written: bytes
    columns: int
    rows: int = ROWS

    def left(self, columns: int | None = None) -> list[str]:
        """Return what a person is left with, the part that has scrolled away first; lines without blanks at the end.

        columns: of another terminal, which is shown the same bytes.
        """
        screen = pyte.HistoryScreen(columns or self.columns, self.rows, history=100_000, ratio=1.0)
        pyte.ByteStream(screen).feed(self.written)
        lines = [*screen.history.top, *(screen.buffer[y] for y in range(self.rows))]
        texts = ["".join(line[x].data for x in range(screen.columns)).rstrip() for line in lines]
        while texts and not texts[-1]:
            texts.pop()
        return texts

    def last_screen(self) -> list[str]:
        """Return the lines that are visible at the end."""
        return self.left()[-(self.rows - 1) :]  # the cursor is in the last row

    def widest(self) -> int:
        """Return the length of the longest line that was left, if the terminal had not wrapped any.

        Without those that end with an address: a terminal wraps them itself, so that the address is still a link.
        """
        return max((len(line) for line in self.left(WIDE) if ADDRESS.search(line) is None), default=0)


def watched(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], columns: int, rows: int = ROWS
) -> Watched:
    """Return what a command writes in a pseudo-terminal, which is its input, output and error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    kept = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**kept, "TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    written = bytearray()
    try:
        while piece := _read(ours):
            written += piece
    finally:
        if process.poll() is None and sys.exc_info()[0] is not None:
            process.terminate()
        code = process.wait()
        os.close(ours)
    return Watched(code, bytes(written), columns, rows)


def _read(file: int) -> bytes:
    try:
        return os.read(file, 1 << 16)
    except OSError as error:
        if error.errno == errno.EIO:  # Linux says so when the last process of the terminal has ended
            return b""
        raise


def _tuned(columns: int, place: Path) -> Watched:
    """Return what `make tune` writes in a fresh clone of the working tree, with this environment."""
    root = place / f"hone-{columns}"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(root)], check=True)
    changed = subprocess.run(["git", "diff", "HEAD", "--binary"], cwd=ROOT, capture_output=True, check=True).stdout
    if changed:
        subprocess.run(["git", "apply", "-"], cwd=root, input=changed, check=True)
    listed = ["git", "ls-files", "-z", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)
    (root / ".venv").symlink_to(ROOT / ".venv")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "HONE_"))}
    # A clone's files are younger than the environment, which make would set up anew.
    command = ["make", "--no-print-directory", "--old-file=.venv/done", "tune"]
    return watched(command, root, {**environment, "PYTHONPATH": str(root)}, columns)


def main() -> None:
    """Run `make tune` in terminals of both widths, and write what they show into the guide."""
    text = GUIDE.read_text(encoding="utf-8")
    parts = [text[: text.index(MARK)] + MARK]
    place = Path(tempfile.mkdtemp(prefix="hone-screens-"))
    try:
        for columns in WIDTHS:
            found = _tuned(columns, place)
            shown = "\n".join(found.left())
            if found.code:
                raise SystemExit(f"make tune ended with {found.code}:\n{shown}")
            parts.append(f"## {columns} columns, {found.rows} rows\n\n```text\n{shown}\n```")
    finally:
        shutil.rmtree(place, ignore_errors=True)
    GUIDE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
