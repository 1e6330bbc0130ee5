"""`hone check` tries a training of one's own, the guide's example, on a few rows of the table."""

import re
import sys
from pathlib import Path

import pytest

from flows import cli
from tests.flows.editing import HERE, change

GUIDE = (HERE / "docs" / "own-models.md").read_text()


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("own_good", "", "", None),
        (
            "own_unseeded",
            "model.set_params(random_state=derive(seed, epoch))",
            "pass",
            "two trainings of one epoch with",
        ),
        ("own_forgetful", 'float(state["t"][0])', "1.0", "two epochs differ from one epoch and another from its"),
        ("own_wrong", ".partial_fit(x, ", ".partial_fit(x, x, ", "train failed in epoch 1 (TypeError: "),
    ],
)
def test_what_an_author_owes_is_checked_on_the_table(
    name: str,
    before: str,
    after: str,
    said: str | None,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = re.findall(r"```python\n# custom/linear\.py\n(.*?)```", GUIDE, re.DOTALL)
    assert before in code
    (project / f"{name}.py").write_text(code.replace(before, after, 1))
    monkeypatch.syspath_prepend(project)
    monkeypatch.setattr(sys, "path", sys.path)  # the command adds the project to it
    change(project, "family: mlp ", f"family: {name}:Linear ")
    assert cli.main(["check"]) == (0 if said is None else 2)
    told = " ".join(capsys.readouterr().err.split())
    assert (said or "") in told
    assert ("model.family" in told) == (said is not None)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("start_from:      ", "start_from: data/start_from/x.safetensors ", "model.start_from: data/start_from/x.saf"),
        ("class_weight: none ", "class_weight: balanced ", "train.class_weight: balanced, but"),
    ],
)
def test_what_is_for_networks_that_hone_trains_is_refused(
    before: str,
    after: str,
    said: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (code,) = re.findall(r"```python\n# custom/linear\.py\n(.*?)```", GUIDE, re.DOTALL)
    (project / "own_started.py").write_text(code)
    monkeypatch.syspath_prepend(project)
    change(project, "family: mlp ", "family: own_started:Linear ")
    change(project, before, after)
    assert cli.main(["check"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert "own_started:Linear brings its own training" in told
