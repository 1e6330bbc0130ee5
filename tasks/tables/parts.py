"""The files that a table is in: one, the one in a zip, or all of a folder."""

import bz2
import gzip
import io
import lzma
import os
import re
import shlex
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa

from hone.errors import UserError
from tasks import sources

MOST_INFLATED, INFLATES_FREELY = 100, 1 << 30
"""Times that a packed table may grow when it is unpacked, beyond some bytes."""


@dataclass(frozen=True)
class Part:
    """A file with a whole table, or with rows of one.

    shown: what messages call it. ending: as `sources.ending` gives it. content: opens the file as it lies there.
    levels: columns that the names of its folders tell, as in ``year=2024/part.parquet``. member: its name in the zip
    that it is in; "" if it is in none. in_folder: whether it is one of the files of a folder.
    """

    shown: str
    ending: str
    content: Callable[[], IO[bytes]]
    levels: Mapping[str, str] = field(default_factory=dict)
    member: str = ""
    in_folder: bool = False

    @property
    def kind(self) -> str:
        """Return the ending without that of a compression."""
        return self.ending.removesuffix(self._packed) if self._packed else self.ending

    @property
    def path(self) -> str:
        """Return the path of the file as a person would write it."""
        return self.shown.removeprefix("data.source: ")

    @property
    def shell(self) -> str:
        """Return a shell command that writes what is in the file, unpacked, to its output."""
        program = sources.COMPRESSED.get(self._packed)
        if self.member:
            unzip = _unzip("-p", self.path.removesuffix(f"/{self.member}"), self.member)
            return f"{unzip} | {program} -dc" if program else unzip
        path = shlex.quote(_in_commands(self.path))
        return f"{program} -dc {path}" if program else f"cat {path}"

    def copy(self, mark: str) -> str:
        """Return the path of a mended copy as a shell takes it, with a mark in its name, beside the file.

        It is in the current folder for a file in a zip or of a download, and for one of a folder: there the copy would
        be one more part of the table.
        """
        path = self.member or _in_commands(self.path)
        stem = path[: len(path) - len(self.ending)] if path.lower().endswith(self.ending) else path
        if self.member or self.in_folder or self._is_download:
            stem = stem.rpartition("/")[2]
        return shlex.quote(f"{stem}.{mark}{self.kind}")

    def advice(self, command: str) -> str:
        """Return a command that mends the file as the end of a message, with what to do before and after it."""
        notes = []
        if self._is_download:
            notes.append("download it yourself first")
        if self.in_folder:
            notes.append("the copy takes the place of that part")
        return f"`{command}`" + (f" ({'; '.join(notes)})" if notes else "")

    @property
    def _is_download(self) -> bool:
        return _in_commands(self.path) != self.path

    @property
    def _packed(self) -> str:
        return next((packed for packed in sources.COMPRESSED if self.ending.endswith(packed)), "")

    @contextmanager
    def unpacked(self) -> Iterator[IO[bytes]]:
        """Yield the file's bytes, unpacked; in the block, what does not unpack is a UserError."""
        try:
            with self.content() as file:
                if self._packed:
                    with _UNPACK[self._packed](file) as plain:
                        yield io.BufferedReader(_Counted(plain, file, self.shown))
                else:
                    yield file
        except UserError:
            raise
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.shown} does not unpack ({_one_line(error)}); compress it again") from error
        except OSError as error:
            if self._packed and error.errno is None:
                raise UserError(f"{self.shown} does not unpack ({_one_line(error)}); compress it again") from error
            raise UserError(
                f"{self.shown} cannot be read ({error.strerror or _one_line(error)}); check its permissions"
            ) from error


class _Counted(io.RawIOBase):
    """What a packed file unpacks to, up to `MOST_INFLATED` times what has been read of it; beyond, a UserError."""

    def __init__(self, plain: IO[bytes], packed: IO[bytes], shown: str) -> None:
        self._plain, self._packed, self._shown, self._n_bytes = plain, packed, shown, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n_read = int(cast(Any, self._plain).readinto(buffer))
        self._n_bytes += n_read
        if self._n_bytes > INFLATES_FREELY and self._n_bytes > MOST_INFLATED * max(1, self._packed.tell()):
            raise UserError(
                f"{self._shown} unpacks to more than {self._n_bytes:,} bytes, over {MOST_INFLATED} times its size; "
                "unpack it yourself if you trust it"
            )
        return n_read


def _zstandard(file: IO[bytes]) -> IO[bytes]:
    return io.BufferedReader(cast(Any, pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")))


_UNPACK: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": cast(Any, gzip.open),
    ".bz2": cast(Any, bz2.open),
    ".xz": cast(Any, lzma.open),
    ".zst": _zstandard,
}


def _in_commands(path: str) -> str:
    """Return a path as commands name it: of a download, whose folder is gone by then, what is below that folder."""
    _, folder, below = f"/{path}".partition(f"/{'/'.join(sources.DOWNLOADS)}/")
    return below.partition("/")[2] if folder else path


def _unzip(option: str, archive: str, member: str) -> str:
    pattern = re.sub(r"([*?[])", r"[\1]", member)  # unzip takes a name for a pattern
    return f"unzip {option} {shlex.quote(_in_commands(archive))} {shlex.quote(pattern)}"


def parts_of(path: Path, name: str) -> list[Part]:
    """Return the files that a table is in, in the order of their names; UserError if they make no table.

    name: what messages call the table.
    """
    sources.check_file(path, name)
    if path.is_dir():
        return _in_folder(path, name)
    if sources.ending(path.name) == ".zip":
        return [_in_zip(path, name)]
    return [Part(name, sources.ending(path.name), partial(_open, path))]


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _in_folder(path: Path, name: str) -> list[Part]:
    sources.check_links(path, name)
    files = sorted(
        Path(folder, file).relative_to(path).as_posix() for folder, _, files in os.walk(path) for file in files
    )
    tables = [file for file in files if sources.is_part(file)]
    parts = [
        Part(f"{name}/{file}", sources.ending(file), partial(_open, path / file), _levels(file), in_folder=True)
        for file in tables
    ]
    kinds = sorted({part.kind for part in parts})
    if len(kinds) > 1:
        raise UserError(
            f"{name} holds files of several kinds ({', '.join(kinds)}); a folder holds the parts of one table: "
            "name the file"
        )
    if len({tuple(part.levels) for part in parts}) > 1:
        raise UserError(f"{name}: its folders do not all name the same columns, as in year=2024/; mend them")
    return parts


def _levels(file: str) -> dict[str, str]:
    pairs = (folder.partition("=") for folder in file.split("/")[:-1])
    return {key: value for key, equals, value in pairs if key and equals}


def _in_zip(path: Path, name: str) -> Part:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if not one.is_dir() and sources.is_part(one.filename)]
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise UserError(f"{name} is no zip that can be read ({_one_line(error)}); pack the table again") from error
    if len(members) != 1:
        if not members:
            raise UserError(f"{name} holds no table; it must hold one ({sources.READ})")
        whole = Part(name, sources.ending(path.name), partial(_open, path))
        raise UserError(
            f"{name} holds {len(members)} tables ({sources.listed(one.filename for one in members)}); unpack the one "
            f"that you want: {whole.advice(_unzip('-j', whole.path, members[0].filename))}"
        )
    (member,) = members
    if member.flag_bits & 1:
        raise UserError(f"{name}: {member.filename!r} is encrypted; pack it without a password")
    if member.file_size > INFLATES_FREELY and member.file_size > MOST_INFLATED * max(1, member.compress_size):
        raise UserError(f"{name} unpacks to {member.file_size:,} bytes, over {MOST_INFLATED} times its size; unpack it")
    return Part(
        f"{name}/{member.filename}",
        sources.ending(member.filename),
        partial(_member, path, member),
        member=member.filename,
    )


def _member(path: Path, member: zipfile.ZipInfo) -> IO[bytes]:
    with zipfile.ZipFile(path) as archive:  # its file stays open for as long as the member is, and no longer
        return archive.open(member)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
