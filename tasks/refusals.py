"""What is wrong in params.yaml, in words: a line for each key, with its value and the remedy."""

import difflib
import re
import types
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hone.errors import printable, shortened, without_secrets

MOST_LINES = 5
LONGEST_VALUE = 80
"""Of a refusal: lines, one for each key, and characters of the value that is wrong."""
UNKNOWN = ("extra_forbidden", "invalid_key")


def explained(model: type[BaseModel], error: ValidationError) -> str:
    """Return what keeps a file from being such a model: a line for each of the first keys that are wrong."""
    found: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        path = tuple(map(str, detail["loc"]))
        found.setdefault(path if detail["type"] in UNKNOWN else tuple(_keys(model, path)), []).append(detail)
    return "\n".join(_line(model, details) for details in [*found.values()][:MOST_LINES])


def _line(model: type[BaseModel], details: Sequence[ErrorDetails]) -> str:
    """Return one line: the key as a person writes it, the value, what is wrong, and the remedy.

    details: all that is wrong with one key; of a union each member has something to say.
    """
    detail = details[0]
    path = [str(part) for part in detail["loc"]]
    if detail["type"] in UNKNOWN:
        section = _section(model, path[:-1])
        near = difflib.get_close_matches(path[-1], section, n=1)
        remedy = f"did you mean `{near[0]}`?" if near else f"keys here are {', '.join(section)}"
        return f"params.yaml: {_dotted(path)}: unknown key; {remedy}"
    value = detail["input"]
    if detail["type"] == "literal_error":
        expected = str(detail["ctx"]["expected"])
        near = difflib.get_close_matches(str(value), re.findall(r"'([^']+)'", expected), n=1)
        wrong = f"must be {expected}" + (f"; did you mean {near[0]!r}?" if near else "")
    else:
        said = [one["msg"].removeprefix("Value error, ") for one in details]
        first, *others = [re.sub("^Input should be", "must be", one) for one in said]
        wrong = " or ".join([first, *(one.removeprefix("must be ") for one in dict.fromkeys(others) if one != first)])
    shown = shortened(without_secrets(repr(value)), LONGEST_VALUE)
    return f"params.yaml: {_dotted(_keys(model, path))}: {shown} {wrong}"


def _keys(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the keys in a path: behind them pydantic says what of a list or a union it means."""
    kind: Any = model
    for depth, part in enumerate(path):
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return [*path[: depth + (get_origin(kind) is dict)]]
        kind = kind.model_fields[part].annotation if part in kind.model_fields else None
    return [*path]


def _dotted(path: Sequence[str]) -> str:
    return ".".join(shortened(printable(part.replace("\n", "\\n")), LONGEST_VALUE) for part in path)


def _section(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """Return the keys that a section may have."""
    for part in path:
        annotation: Any = model.model_fields[part].annotation
        if get_origin(annotation) in (Union, types.UnionType):
            annotation = get_args(annotation)[0]
        model = annotation
    return list(model.model_fields)
