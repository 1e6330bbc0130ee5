"""What Prefect's pages show is text, whatever a folder is called."""

from pathlib import Path
from queue import Queue
from types import SimpleNamespace

import pytest
from prefect.events.worker import EventsWorker

from flows import artifacts, server
from flows.summary import REPORT, Summary
from tasks.reporting import GenerationInfo, NullReporter


@pytest.mark.parametrize(
    ("text", "shown"), [("a/b", "`a/b`"), ("a`b", "``a`b``"), ("`a``", "``` `a`` ```"), ("", "``")]
)
def test_code_stays_code(text: str, shown: str) -> None:
    assert artifacts.code(text) == shown


def test_the_way_to_the_report_is_no_markup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "it`s <script>alert(1)<&script>"
    (root / REPORT).parent.mkdir(parents=True)
    (root / REPORT).write_text("")
    said: dict[str, str] = {}
    monkeypatch.setattr(
        artifacts, "create_table_artifact", lambda rows, key, description: said.update({key: description})
    )
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda text, key: said.update({key: text}))
    artifacts.publish(root, Summary("<b>rows</b>", ("metric",), (("accuracy",),), ()))
    assert said["result"] == "&lt;b&gt;rows&lt;/b&gt;"
    link, _, code = said["report"].partition("\n\n")
    assert "<" not in link
    assert code == f"``{root / REPORT}``"


def test_of_an_api_that_has_gone_no_more_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        asked.append(1)
        raise ConnectionError("nobody there")

    asked: list[int] = []
    monkeypatch.setattr(artifacts, "create_progress_artifact", refuse)
    reporter = artifacts.ShowingProgress(NullReporter())
    for index in range(3):
        reporter.generation(
            GenerationInfo(stage="search", index=index, n_trials=1, best=0.5, metric="accuracy", spent=1.0, budget=9)
        )
    reporter.stage_finished("search", 1.0)
    assert (len(asked), reporter.lost) == (1, True)


def test_what_nobody_will_take_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """At exit Prefect would try each of them, for seconds."""
    instance = SimpleNamespace(_queue=Queue[int]())
    for item in range(3):
        instance._queue.put(item)
    monkeypatch.setattr(EventsWorker, "_instances", {0: instance})
    server.drop_the_rest()
    assert instance._queue.empty()
