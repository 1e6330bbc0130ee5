"""Files that are whole or absent, and whose bytes depend on their contents only."""

import contextlib
import hashlib
import io
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

COMPRESSION = "zstd"


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Yield a binary file that takes the place of `path` when the block ends well, and vanishes otherwise.

    Folders above it are made. The bytes are on the disk before the name is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # Who may read it: whoever may read the file that it replaces, else as the person's umask has it.
    descriptor = os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode) | stat.S_IWUSR)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes."""
    with atomic(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, as it is."""
    write_bytes(path, text.encode())


def json_text(value: object) -> str:
    """Return JSON with sorted keys, indented, with a newline at the end; numbers that are not finite become null."""
    return json.dumps(_plain(value), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, value: object) -> None:
    """Write `json_text(value)`."""
    write_text(path, json_text(value))


def read_json(path: Path) -> Any:
    """Return the value in a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _plain(value: object) -> object:
    """Return a value made of JSON's types only."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_parquet(path: Path, table: pd.DataFrame | pa.Table) -> None:
    """Write a table without its index; equal tables give equal bytes."""
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    with atomic(path) as file:
        pq.write_table(table, file, compression=COMPRESSION)


def parquet_bytes(table: pa.Table) -> bytes:
    """Return the bytes that `write_parquet` writes."""
    file = io.BytesIO()
    pq.write_table(table, file, compression=COMPRESSION)
    return file.getvalue()


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table without its index; floats are written so that they read back as the same bits."""
    write_bytes(path, frame.to_csv(index=False, lineterminator="\n").encode())


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def undone_if_refused(*paths: Path) -> Iterator[None]:
    """Put files back as they were if the body fails."""
    before = {path: path.read_bytes() if path.is_file() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            else:
                write_bytes(path, content)
        raise
