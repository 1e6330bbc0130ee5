"""Checkpoints on disk: tensors and one JSON text in a safetensors file; no pickle."""

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from hone.training.checkpoint import Checkpoint


def write(folder: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write a trial's checkpoint under its key; a reader sees all of it or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    # One metadata entry: the order of several is not fixed, and equal checkpoints must be equal bytes.
    content = save(dict(checkpoint.tensors), metadata={"info": json.dumps(checkpoint.info, sort_keys=True)})
    partial = folder / f".{key}-{os.getpid()}"
    partial.write_bytes(content)
    partial.replace(_file(folder, key))


def read(folders: Sequence[Path], key: str) -> Checkpoint | None:
    """Return the checkpoint of that key from the first folder that has it, or None."""
    for folder in folders:
        file = _file(folder, key)
        if file.exists():
            with safe_open(file, framework="pt") as opened:
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no dict)
                return Checkpoint(tensors=tensors, info=json.loads(opened.metadata()["info"]))
    return None


def copy(keys: Iterable[str], source: Path, target: Path) -> None:
    """Copy the checkpoints of those keys, where they exist, into a folder, which is made even if it stays empty."""
    target.mkdir(parents=True, exist_ok=True)
    for key in keys:
        if _file(source, key).exists():
            shutil.copyfile(_file(source, key), _file(target, key))


def keep(folder: Path, keys: Iterable[str]) -> None:
    """Delete every checkpoint of a folder but those of the given keys."""
    wanted = {_file(folder, key) for key in keys}
    for file in folder.glob("*.safetensors"):
        if file not in wanted:
            file.unlink()


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.safetensors"
