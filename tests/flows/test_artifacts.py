"""What Prefect's pages show is text, whatever a folder is called."""

import logging
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from uuid import UUID

import pytest
from prefect.events.worker import EventsWorker

from flows import artifacts, server
from tasks.reporting import GenerationInfo, NullReporter
from tasks.summary import REPORT, Summary


def test_the_result_page_shows_verdict_table_and_report_and_no_markup(tmp_path: Path) -> None:
    root = tmp_path / "it`s <script>alert(1)<&script>"
    (root / REPORT).parent.mkdir(parents=True)
    (root / REPORT).write_text("")
    findings = ("Tuning helped: a|b <b>", "A second finding.")
    page = artifacts.result_page(root, Summary("Rows (3)", ("metric", "tuned"), (("F1_x", "0.5"),), findings))
    lines = page.splitlines()
    assert lines[0] == r"## Tuning helped: a\|b &lt;b&gt;"
    assert lines[4:7] == ["| metric | tuned |", "| --- | ---: |", r"| F1\_x | 0.5 |"]
    assert "- A second finding." in lines
    assert lines[-1] == f"The report is `{REPORT}` in the project's folder, ``{root.name}``."
    assert "file:" not in page
    assert "<" not in page.replace(root.name, "")


def test_of_an_api_that_has_gone_no_more_artifact_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        asked.append(1)
        raise ConnectionError("nobody there")

    asked: list[int] = []
    monkeypatch.setattr(artifacts, "create_progress_artifact", refuse)
    reporter = artifacts.ToPrefect(NullReporter())
    for index in range(3):
        reporter.generation(
            GenerationInfo(stage="search", index=index, n_trials=1, best=0.5, metric="accuracy", spent=1.0, budget=9)
        )
    reporter.stage_finished("search", 1.0)
    assert (len(asked), reporter.lost) == (1, True)


@pytest.mark.parametrize("fails", [False, True])
def test_lines_are_logged_while_an_artifact_is_sent_and_after_one_failed(
    fails: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def send(*_: object, **__: object) -> UUID:
        reporter.warning("from the tracker's thread")
        if fails:
            raise ConnectionError("nobody there")
        return UUID(int=0)

    monkeypatch.setattr(artifacts, "create_progress_artifact", send)
    monkeypatch.setattr(artifacts, "_run_logger", lambda: logging.getLogger("a run's"))
    reporter = artifacts.ToPrefect(NullReporter())
    with caplog.at_level(logging.INFO, "a run's"):
        reporter.generation(
            GenerationInfo(stage="search", index=0, n_trials=1, best=0.5, metric="accuracy", spent=1.0, budget=9)
        )
    assert [record.message for record in caplog.records] == [
        "from the tracker's thread",
        "search: generation 1, best accuracy 0.5000, 1 of 9 epochs",
    ]
    assert reporter.lost == fails


def test_what_nobody_will_take_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """At exit Prefect would try each of them, for seconds."""
    instance = SimpleNamespace(_queue=Queue[int]())
    for item in range(3):
        instance._queue.put(item)
    monkeypatch.setattr(EventsWorker, "_instances", {0: instance})
    server.drop_the_rest()
    assert instance._queue.empty()
