"""The form of a finding, and how columns and remedies are written in it."""

import json
import re
from collections.abc import Sequence
from typing import Any

Finding = dict[str, Any]
"""{kind, severity: "warning" | "info", columns, message, count}, all JSON values."""

QUESTIONS = frozenset({"dominant", "time_order"})
"""Kinds of notes that may well be leaks: a person has to judge."""
MOST_NAMED = 4
PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*( [A-Za-z0-9_.\-]+)*")
YAML_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def finding(kind: str, severity: str, columns: Sequence[str], message: str, count: int) -> Finding:
    """Return a finding. count: of the rows, columns or files that it is about."""
    return {"kind": kind, "severity": severity, "columns": list(columns), "message": message, "count": count}


def named(columns: Sequence[str], most: int = MOST_NAMED) -> str:
    """Return column names as a phrase: ``'a'``, ``'a' and 'b'``, ``'a', 'b' and 3 more``."""
    if len(columns) == 1:
        return repr(columns[0])
    shown = [repr(name) for name in columns[:most]]
    if len(columns) > most:
        return f"{', '.join(shown)} and {len(columns) - most} more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def yaml_name(name: str) -> str:
    """Return a column's name as params.yaml may hold it, in quotes where YAML needs them."""
    if PLAIN_NAME.fullmatch(name) and name.lower() not in YAML_WORDS:
        return name
    if "'" in name or not name.isprintable():
        return json.dumps(name)
    return f"'{name}'"


def drop(columns: Sequence[str], most: int = MOST_NAMED) -> str:
    """Return the line of params.yaml that leaves columns out, e.g. ``data.drop: [boat, body]``."""
    more = ", …" if len(columns) > most else ""
    return f"data.drop: [{', '.join(map(yaml_name, columns[:most]))}{more}]"
