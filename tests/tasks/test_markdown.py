"""Names that users choose are text in other tools' Markdown pages."""

import json
from pathlib import Path
from typing import Any

import pytest

from tasks import markdown, run_page
from tasks.params import Params

IMAGE = "<img src=x onerror=alert(1)>"
LINK = "[click](https://evil.example)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (IMAGE, "&lt;img src=x onerror=alert(1)&gt;"),
        (LINK, r"\[click\](https://evil\.example)"),
        ("a|b", r"a\|b"),
        ("`x` *y* ~z~ # _w_", r"\`x\` \*y\* \~z\~ \# \_w\_"),
        ("see www.evil.example and me@evil.example", r"see www\.evil\.example and me@evil\.example"),
        ("@who", r"\@who"),
        ("a &lt; b", "a &amp;lt; b"),
        ("one\n| two", r"one \| two"),
        ("\\", r"\\"),
        ("0.5 (95 % interval 0.1 to 0.9)", "0.5 (95 % interval 0.1 to 0.9)"),
    ],
)
def test_text_is_shown_as_it_is(text: str, shown: str) -> None:
    assert markdown.text(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"), [("a/b", "`a/b`"), ("a`b", "``a`b``"), ("`a``", "``` `a`` ```"), ("", "``"), ("a\nb", "`a b`")]
)
def test_code_stays_code(text: str, shown: str) -> None:
    assert markdown.code(text) == shown


def test_a_block_ends_where_it_should() -> None:
    assert markdown.block("a ``` b", "bash") == "````bash\na ``` b\n````"


def test_a_description_in_mlflow_shows_names_and_obeys_none(tmp_path: Path) -> None:
    source, parameter = f"data/a`b{IMAGE}.csv", "width|`x`"
    evaluation: dict[str, Any] = {
        "n_rows": 9,
        "delivered": "tuned",
        "tuned": {"rmse": 1.0},
        "intervals": {"tuned": {"rmse": [0.5, 1.5]}},
        "findings": [{"message": f"No gain for class {LINK}."}, {"message": f"By {IMAGE}."}],
    }
    default = {"config": {parameter: 1, "kind": f"{LINK}|{IMAGE}"}}
    winner = {"metric": "rmse", "delivered": "tuned", "config": {parameter: 2}, "default": default}
    for path, content in ((run_page.EVALUATION, evaluation), (run_page.WINNER, winner)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(content))
    shown = run_page.description(tmp_path, Params.model_validate({"data": {"source": source}}))[run_page.NOTE]
    lines = shown.splitlines()
    assert lines[0] == r"**No gain for class \[click\](https://evil\.example)\.**"
    assert "- By &lt;img src=x onerror=alert(1)&gt;." in lines
    assert r"| `` width\|`x` `` | 2 | 1 |" in lines
    assert r"| `kind` | – | \[click\](https://evil\.example)\|&lt;img src=x onerror=alert(1)&gt; |" in lines
    assert f"Data: ``{source}``. The report" in lines[-1]
    assert "<" not in shown.replace(f"``{source}``", "")
