"""What Prefect's pages show of a run: its logs, a progress artifact for each phase, and the verdict with its table."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from tasks import markdown
from tasks.reporting import GenerationInfo, Reporter, describe, duration, plain, plain_table
from tasks.summary import REPORT, Summary

LoggerLike = logging.Logger | logging.LoggerAdapter[logging.Logger]


class ToPrefect:
    """A reporter that also logs every line to Prefect, and keeps a progress artifact for each phase.

    Lines of a stage are logged to its task run, all others to the flow run. lost: Prefect's API has not taken an
    artifact. No more are sent then, because each attempt waits for a time-out. Logs go on: a thread of Prefect's sends
    them, and nothing waits for it.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.lost = False
        self._reporter = reporter
        self._artifacts: dict[str, UUID] = {}
        self._flow_logger = _run_logger()  # for lines from threads that Prefect does not know, such as a tracker's

    def generation(self, info: GenerationInfo) -> None:
        """Report a generation, log it, and move its phase's artifact on."""
        self._reporter.generation(info)
        share = 100 * min(info.spent / info.budget, 1.0) if info.budget else 0.0
        self._show(info.stage, share, describe(info))
        self._log(f"{info.stage}: {describe(info)}")

    def stage_started(self, name: str) -> None:
        """Report and log the start."""
        self._reporter.stage_started(name)
        self._log(f"{name}: started")

    def stage_finished(self, name: str, seconds: float, note: str = "") -> None:
        """Report and log the end; a phase that stopped below its budget is finished all the same."""
        self._reporter.stage_finished(name, seconds, note)
        for phase in self._artifacts:
            self._show(phase, 100.0, None)
        self._artifacts.clear()
        self._log(f"{name}: done in {duration(seconds)}" + (f", {note}" if note else ""))

    def stage_skipped(self, name: str, note: str = "up to date") -> None:
        """Report and log that a stage need not run."""
        self._reporter.stage_skipped(name, note)
        self._log(f"{name}: {note}")

    def message(self, text: str) -> None:
        """Report and log a line."""
        self._reporter.message(text)
        self._log(text)

    def warning(self, text: str) -> None:
        """Report a line that needs attention, and log it as a warning."""
        self._reporter.warning(text)
        self._log(text, logging.WARNING)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Report and log a table."""
        self._reporter.table(title, columns, rows)
        self._log(plain_table(title, columns, rows))

    def close(self) -> None:
        """Close the reporter below."""
        self._reporter.close()

    def _log(self, text: str, level: int = logging.INFO) -> None:
        with _never_fatal():
            if (logger := _run_logger() or self._flow_logger) is not None:
                logger.log(level, "%s", "\n".join(map(plain, text.split("\n"))))

    def _show(self, phase: str, share: float, text: str | None) -> None:
        if self.lost:
            return
        try:
            if phase in self._artifacts:
                update_progress_artifact(self._artifacts[phase], share, text)
            else:
                key = f"{phase.replace('_', '-')}-progress"
                self._artifacts[phase] = _identifier(create_progress_artifact(share, key=key, description=text))
        except Exception:  # a picture that cannot be drawn is no reason to lose a run
            self.lost = True


def publish(root: Path, table: Summary) -> None:
    """Put the verdict, the final table and the place of the report into Prefect's pages."""
    with _never_fatal():
        create_markdown_artifact(result_page(root, table), key="result", description=markdown.text(table.title))


def result_page(root: Path, table: Summary) -> str:
    """Return the verdict, the table, the findings and the place of the report as Markdown.

    A browser opens no file from a page of a server, so the report's place is text and no link.
    """
    verdict, *findings = [*table.findings] or ["This run has no result yet."]
    lines = [
        f"## {markdown.text(verdict)}",
        "",
        markdown.text(table.title),
        "",
        _row(table.columns),
        _row(["---", *["---:"] * (len(table.columns) - 1)]),
        *(_row([markdown.text(cell) for cell in row]) for row in table.rows),
        "",
        *(f"- {markdown.text(finding)}" for finding in findings),
    ]
    if (root / REPORT).exists():
        lines += ["", f"The report is {markdown.code(REPORT)} in the project's folder, {markdown.code(root.name)}."]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _run_logger() -> LoggerLike | None:
    """Return Prefect's logger of the task or flow that runs here; None outside of both."""
    try:
        return get_run_logger()
    except MissingContextError:
        return None


@contextlib.contextmanager
def _never_fatal() -> Iterator[None]:
    """Let nothing through: a picture that cannot be drawn is no reason to lose a run."""
    with contextlib.suppress(Exception):
        yield


def _identifier(created: Any) -> UUID:
    identifier: UUID = created
    return identifier
