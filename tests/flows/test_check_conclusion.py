"""The last line of `hone check` counts what stands above it."""

import pytest

from tasks import split, wording

WARNING = {"kind": "leak", "severity": "warning"}
NOTE = {"kind": "words", "severity": "info"}


@pytest.mark.parametrize(
    ("remarks", "findings", "said"),
    [
        ([], [], "nothing obvious found."),
        ([NOTE], [], "nothing obvious found beyond what is said above."),
        ([WARNING], [], "1 warning above: look"),
        ([WARNING], [WARNING], "2 warnings above: look"),
        ([NOTE], [WARNING] * 8, "8 warnings above: look"),
        ([WARNING], [WARNING] * 12, "13 warnings (9 of them above): look"),
    ],
)
def test_warnings_of_reading_and_of_the_audit_are_counted_and_how_many_are_shown(
    remarks: list[dict[str, str]], findings: list[dict[str, str]], said: str
) -> None:
    report = {"findings": [*remarks, *findings], "tested": ["all"]}
    shown = [*remarks, *findings[: split.MOST_TOLD]]
    assert wording.audited(report, "above", "before `hone tune`", shown).startswith(said)
