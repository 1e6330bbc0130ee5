"""Checkpoints on disk: tensors and one JSON text in a safetensors file, with a digest of both; no pickle."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hone.training.checkpoint import Checkpoint

KEY = "checkpoint"


class DamagedError(Exception):
    """A file is not what was written."""


def write(folder: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write a trial's checkpoint under its key; a reader sees all of it or nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    info, tensors = json.dumps(checkpoint.info, sort_keys=True), dict(checkpoint.tensors)
    # One metadata entry: the order of several is not fixed, and equal checkpoints must be equal bytes.
    about = json.dumps({"digest": _digest(tensors, info), "info": checkpoint.info}, sort_keys=True)
    partial = folder / f".{key}-{os.getpid()}"
    try:
        # Not synced to the disk: what a power cut tears, its digest shows, and it is trained again.
        partial.write_bytes(save(tensors, metadata={KEY: about}))
        partial.replace(_file(folder, key))
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def read(folders: Sequence[Path], key: str) -> Checkpoint | None:
    """Return the checkpoint of that key from the first folder that has it, or None.

    Raises DamagedError if the file is not what was written.
    """
    for folder in folders:
        file = _file(folder, key)
        if file.exists():
            try:
                with safe_open(file, framework="pt") as opened:
                    tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no dict)
                    about = json.loads(opened.metadata()[KEY])
                info = about["info"]
                sound = about["digest"] == _digest(tensors, json.dumps(info, sort_keys=True))
            except FileNotFoundError:
                continue  # deleted since
            except (SafetensorError, OSError, ValueError, TypeError, KeyError, RecursionError) as error:
                raise DamagedError(f"{file}: damaged ({type(error).__name__})") from error
            if not sound:
                raise DamagedError(f"{file}: damaged, its digest is another")
            return Checkpoint(tensors=tensors, info=info)
    return None


def copy(keys: Iterable[str], source: Path, target: Path) -> None:
    """Copy the checkpoints of those keys, where they exist, into a folder, which is made even if it stays empty."""
    target.mkdir(parents=True, exist_ok=True)
    for key in keys:
        if _file(source, key).exists():
            shutil.copyfile(_file(source, key), _file(target, key))


def keep(folder: Path, study: str, keys: Sequence[str], most: int | None = None) -> None:
    """Delete every checkpoint of a study but those of the given keys, and of these the last beyond `most` bytes.

    What killed processes were writing goes, too: nobody may be writing meanwhile.
    """
    wanted: dict[Path, int] = {}
    left = most
    for file in dict.fromkeys(_file(folder, key) for key in keys):
        with contextlib.suppress(FileNotFoundError):
            size = file.stat().st_size
            if left is None or size <= left:
                wanted[file] = size
                left = None if left is None else left - size
    for file in (*folder.glob(f"{study}-*.safetensors"), *folder.glob(f".{study}-*")):
        if file not in wanted:
            file.unlink(missing_ok=True)


def _digest(tensors: Mapping[str, Tensor], info: str) -> str:
    digest = hashlib.sha256(save(dict(tensors)))
    digest.update(info.encode())
    return digest.hexdigest()


def _file(folder: Path, key: str) -> Path:
    return folder / f"{key}.safetensors"
