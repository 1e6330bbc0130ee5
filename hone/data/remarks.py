"""What a person should know about how a table was read, as findings like the audit's."""

from typing import Any, Literal

Remark = dict[str, Any]
"""{kind, severity: "warning" | "info", columns, message, count}."""


def remark(kind: str, severity: Literal["info", "warning"], columns: list[str], message: str, count: int) -> Remark:
    """Return a finding. count: the cells, rows or columns that it is about."""
    return {"kind": kind, "severity": severity, "columns": columns, "message": message, "count": count}
