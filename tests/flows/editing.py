"""What several tests of flows do to their project."""

from pathlib import Path

HERE = Path(__file__).parents[2]


def change(root: Path, before: str, after: str) -> None:
    """Edit params.yaml as a person does."""
    text = (root / "params.yaml").read_text()
    assert before in text, f"params.yaml has no {before!r} any more"
    (root / "params.yaml").write_text(text.replace(before, after, 1))
