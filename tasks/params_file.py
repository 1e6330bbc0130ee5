"""Edits params.yaml as a person would: its comments and its order stay."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from tasks import files, plain_yaml


def set_params(path: Path, values: Mapping[str, object], section: str = "data") -> None:
    """Write values into a section of a params.yaml, whose comments and order stay."""
    yaml = YAML(typ="rt")  # keeps comments, and builds no objects of tags
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.Representer = _Representer
    content = yaml.load(path.read_text(encoding="utf-8")) or {}
    if content.get(section) is None:
        content[section] = {}
    given = content[section]
    for key, value in values.items():
        if isinstance(given.get(key), list):
            given[key][:] = _quoted(value)
        else:
            given[key] = _quoted(value)
    text = StringIO()
    yaml.dump(content, text)
    files.write_text(path, text.getvalue())


def _quoted(value: object) -> Any:
    """Return a value whose texts have quotes where they need them; ruamel's YAML 1.2 has `yes` and 12:30 for text."""
    if isinstance(value, list):
        return [_quoted(one) for one in value]
    return DoubleQuotedScalarString(value) if isinstance(value, str) and not plain_yaml.is_text(value) else value


class _Representer(RoundTripRepresenter):
    """Writes null as people do, and not as nothing."""


def _null(representer: RoundTripRepresenter, value: None) -> ScalarNode:
    return representer.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _null)
