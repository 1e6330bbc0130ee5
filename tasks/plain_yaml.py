"""The text of params.yaml as plain values: text, numbers, truth values, lists and mappings, and nothing else."""

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from hone.errors import UserError, shortened, without_secrets

TAG = "tag:yaml.org,2002:"
PLAIN = frozenset(f"{TAG}{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "merge"))
# Read as text, as they are written: a column may be called 2024-01-01.
TEXT = (f"{TAG}timestamp", f"{TAG}value")
DEEPEST = 24
MOST_VALUES = 100_000
"""Of a file, once every alias stands for what it names: a few lines could ask for more than fits into memory."""
LARGEST = 2**63 - 1
"""Whole numbers that journals, parquet files and databases can hold."""


class _Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number, as YAML 1.2 and DVC do; PyYAML by itself wants 1.0e-4."""

    yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own, less what is read as text)
        first: [(tag, pattern) for tag, pattern in found if tag not in TEXT]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """Return a node's value; YAMLError for one that is not what its tag says, or that cannot be stored."""
        try:
            value = super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # PyYAML lets through whatever int(), float() and its own tables raise
            raise _refused(node, f"{_shown(node)} is no {node.tag.removeprefix(TAG)}") from error
        if isinstance(value, str) and ("\0" in value or any("\ud800" <= one <= "\udfff" for one in value)):
            raise _refused(node, f"{_shown(node)} holds a character that no file can hold; remove it")
        if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
            raise _refused(node, f"{_shown(node)} is too large a number; at most {LARGEST} can be stored")
        return value


_Loader.add_implicit_resolver(
    f"{TAG}float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$", re.ASCII), list("-+0123456789")
)


def parse(text: str) -> Any:
    """Return what a params.yaml holds; None if it is empty.

    Raises UserError for what is no YAML, and for YAML that is more than plain values: tags of other types, a key that
    stands there twice, of which one would be passed over, and values that no file or database could take.
    """
    try:
        loader = _Loader(text)
        loader.name = "params.yaml"
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {}, 1)
        content = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise UserError(f"params.yaml: not valid YAML ({_said(error)})") from None
    except RecursionError:
        raise UserError("params.yaml: nested too deeply; it holds sections, and keys in them") from None
    return content


def is_text(text: str) -> bool:
    """Return whether a text that stands there without quotes is read as text."""
    tag = _Loader("").resolve(ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return bool(tag == f"{TAG}str")


def _check(node: Node, sizes: dict[int, int], depth: int) -> int:
    """Return how many values a node stands for; YAMLError for one that is not plain.

    sizes: of nodes that were counted; 0 while one is being counted.
    """
    if (known := sizes.get(id(node))) is not None:
        if not known:
            raise _refused(node, "it holds itself by an alias; write it out")
        return known
    if node.tag not in PLAIN:
        raise _refused(node, f"the tag {node.tag.replace(TAG, '!!')!r} is not read; write plain values")
    if depth > DEEPEST:
        raise _refused(node, "it is nested too deeply")
    sizes[id(node)] = 0
    inner: list[Node] = []
    if isinstance(node, MappingNode):
        seen: set[tuple[str, str]] = set()
        for key, value in node.value:
            if isinstance(key, ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _refused(key, f"the key {_shown(key)} stands there twice; remove one of them")
                seen.add((key.tag, key.value))
            inner += [key, value]
    elif isinstance(node, SequenceNode):
        inner = node.value
    size = 1 + sum(_check(one, sizes, depth + 1) for one in inner)
    if size > MOST_VALUES:
        raise _refused(node, f"it stands for more than {MOST_VALUES:,} values, its aliases written out")
    sizes[id(node)] = size
    return size


def _refused(node: Node, why: str) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, why, node.start_mark)


def _said(error: yaml.YAMLError) -> str:
    """Return what is wrong and where, without the line itself, which may hold half of a password."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
        # A mistake of form is often noticed only where the next line starts; our own refusals name the right line.
        is_of_form = not isinstance(error, yaml.constructor.ConstructorError)
        return f"{where}; the mistake may be on the line before" if is_of_form and mark.line else where
    return " ".join(str(error).split())


def _shown(node: Node) -> str:
    return shortened(without_secrets(repr(node.value)), 60)
