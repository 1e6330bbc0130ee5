"""What Prefect's UI shows of a run: a progress artifact a phase, the final table, and where the report is."""

import contextlib
import html
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from flows.summary import REPORT, Summary
from tasks.reporting import GenerationInfo, Reporter, describe


class ShowingProgress:
    """A reporter that also keeps a progress artifact for each phase, moved on by each generation.

    lost: Prefect's API has not taken one. It is asked for no more: each time it would be waited for.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.lost = False
        self._reporter = reporter
        self._artifacts: dict[str, UUID] = {}

    def generation(self, info: GenerationInfo) -> None:
        """Report a generation, and move its phase's artifact on."""
        self._reporter.generation(info)
        share = 100 * min(info.spent / info.budget, 1.0) if info.budget else 0.0
        self._show(info.stage, share, describe(info))

    def stage_started(self, name: str) -> None:
        """Report the start."""
        self._reporter.stage_started(name)

    def stage_finished(self, name: str, seconds: float, note: str = "") -> None:
        """Report the end; a phase that stopped below its budget is finished all the same."""
        self._reporter.stage_finished(name, seconds, note)
        for phase in self._artifacts:
            self._show(phase, 100.0, None)
        self._artifacts.clear()

    def stage_skipped(self, name: str, note: str = "up to date") -> None:
        """Report that a stage need not run."""
        self._reporter.stage_skipped(name, note)

    def message(self, text: str) -> None:
        """Report a line."""
        self._reporter.message(text)

    def warning(self, text: str) -> None:
        """Report a line that needs attention."""
        self._reporter.warning(text)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Report a table."""
        self._reporter.table(title, columns, rows)

    def close(self) -> None:
        """Close the reporter below."""
        self._reporter.close()

    def _show(self, phase: str, share: float, text: str | None) -> None:
        if self.lost:
            return
        self.lost = True
        with _never_fatal():
            if phase in self._artifacts:
                update_progress_artifact(self._artifacts[phase], share, text)
            else:
                key = f"{phase.replace('_', '-')}-progress"
                self._artifacts[phase] = _identifier(create_progress_artifact(share, key=key, description=text))
            self.lost = False


def publish(root: Path, table: Summary) -> None:
    """Put the final table and the way to the report into Prefect's UI."""
    rows: list[dict[str, Any]] = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    with _never_fatal():
        create_table_artifact(rows, key="result", description=html.escape(table.title))
        report = root / REPORT
        if report.exists():
            create_markdown_artifact(f"[Open the report]({report.as_uri()})\n\n{code(str(report))}", key="report")


def code(text: str) -> str:
    """Return a text as Markdown shows it as it is: between more backticks than it holds in a row."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


@contextlib.contextmanager
def _never_fatal() -> Iterator[None]:
    """Let nothing through: a picture that cannot be drawn is no reason to lose a run."""
    with contextlib.suppress(Exception):
        yield


def _identifier(created: Any) -> UUID:
    identifier: UUID = created
    return identifier
