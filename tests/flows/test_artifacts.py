"""What Prefect's pages show is text, whatever a folder is called."""

from pathlib import Path

import pytest

from flows import artifacts
from flows.summary import REPORT, Summary


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
