"""The pipeline as dvc.yaml states it: the one place that says what a stage reads, writes and depends on."""

import hashlib
import json
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from hone.errors import UserError

ONLY = {"data/warm_start": "*.parquet", "data/start_from": "*.safetensors"}
"""Folders of which only such files are a dependency: words for people and what a kill left change nothing there."""


@dataclass(frozen=True)
class Spec:
    """One stage of dvc.yaml. deps and outs are paths relative to the project; params are dotted keys."""

    name: str
    deps: tuple[str, ...]
    params: tuple[str, ...]
    outs: tuple[str, ...]


def specs(root: Path) -> dict[str, Spec]:
    """Return the stages of the project's dvc.yaml by name, in the order they are written, which is their order.

    Raises UserError if dvc.yaml is missing or no valid YAML.
    """
    path = root / "dvc.yaml"
    try:
        stages = _parsed(path.read_text())["stages"]
        return {
            name: Spec(
                name,
                tuple(entry.get("deps", ())),
                tuple(entry.get("params", ())),
                tuple(_name(out) for kind in ("outs", "metrics", "plots") for out in entry.get(kind, ())),
            )
            for name, entry in stages.items()
        }
    except FileNotFoundError:
        raise UserError(f"dvc.yaml: not found in {root}; a Hone project has one beside params.yaml") from None
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"dvc.yaml: not a pipeline that can be read ({' '.join(str(error).split())})") from None


@lru_cache(maxsize=4)  # it is asked for again and again, and a tenth of a second to parse
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def fingerprint(root: Path, spec: Spec, params: dict[str, Any]) -> str:
    """Return a hash (64 hex digits) of all that a stage's outs depend on: its deps' bytes and its params' values.

    params: the whole of params.yaml, defaults filled in.
    """
    content = {
        "stage": spec.name,
        "params": {key: lookup(params, key) for key in spec.params},
        "deps": {dep: _hash_dep(root, dep) for dep in spec.deps},
    }
    return hash_json(content)


def pipeline_fingerprint(root: Path, params: dict[str, Any], source: str) -> str:
    """Return a hash of all that the pipeline's outs depend on: every stage's params, the code, lock file and data.

    It does not change while the pipeline runs: of the deps, only those that no stage writes are hashed.
    source: the raw table's path relative to the project, or the name of one of scikit-learn's sets.
    """
    stages = specs(root)
    outs = [out for spec in stages.values() for out in spec.outs]
    deps = sorted({dep for spec in stages.values() for dep in spec.deps if dep not in outs and dep != "data/raw"})
    content = {
        "params": {key: lookup(params, key) for spec in stages.values() for key in spec.params},
        "deps": {dep: _hash_dep(root, dep) for dep in deps},
        "lock": hash_path(root / "requirements.lock"),
        "data": data_hash(root, source),
    }
    return hash_json(content)


def data_hash(root: Path, source: str) -> str:
    """Return a hash of the raw table: of the file's bytes, or of the name of a set that scikit-learn ships."""
    if source.startswith("sklearn:"):
        return hashlib.sha256(source.encode()).hexdigest()
    return hash_path(root / source)


def code(root: Path, spec: Spec) -> dict[str, str]:
    """Return the hash of each file of code that a stage depends on, and of the lock file, by path in the project."""
    found: dict[str, str] = {}
    for dep in (root / dep for dep in spec.deps if not dep.startswith(("data/", "artifacts/"))):
        files = dep.rglob("*.py") if dep.is_dir() else [dep]
        found |= {path.relative_to(root).as_posix(): hash_path(path) for path in files}
    return found


def hash_path(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's file names and contents; "missing" if it is not there."""
    if path.is_file():
        return _hash_file(path, path.stat().st_mtime_ns, path.stat().st_size)
    if not path.is_dir():
        return "missing"
    files = sorted(p for p in path.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return hash_json({p.relative_to(path).as_posix(): hash_path(p) for p in files})


def _hash_dep(root: Path, dep: str) -> str:
    """Return the hash of a dependency, less what .dvcignore keeps from DVC in folders that hold words, too."""
    path = root / dep
    if dep not in ONLY or not path.is_dir():
        return hash_path(path)
    return hash_json({p.name: hash_path(p) for p in sorted(path.glob(ONLY[dep])) if p.is_file()})


@cache
def _hash_file(path: Path, modified_ns: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(content: object) -> str:
    """Return the SHA-256 of a value that JSON can hold; the order of keys does not matter."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def lookup(params: dict[str, Any], key: str) -> Any:
    """Return the value at a dotted key, e.g. "search.random"."""
    value: Any = params
    for part in key.split("."):
        value = value[part]
    return value


def _name(out: str | dict[str, Any]) -> str:
    return out if isinstance(out, str) else next(iter(out))
