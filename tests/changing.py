"""Changes a project, as a person would."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def change_params(root: Path, changes: Mapping[str, Any]) -> None:
    """Change params.yaml, by dotted key."""
    path = root / "params.yaml"
    content = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *sections, last = key.split(".")
        section = content
        for name in sections:
            section = section[name]
        section[last] = value
    path.write_text(yaml.safe_dump(content, sort_keys=False))
