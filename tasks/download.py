"""Tables fetched from https:// and s3:// addresses into a file."""

import base64
import contextlib
import errno
import os
import shutil
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

from hone.errors import UserError, address_without_secrets
from tasks import sources

DAY = 24 * 60 * 60
LONGEST_NAME = 200
"""Bytes of a file's name: file systems take 255, and endings are added."""
PATIENCE = 60
"""Seconds without an answer."""
TYPES = {
    "text/csv": ".csv",
    "application/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
    "application/vnd.apache.arrow.file": ".arrow",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/zip": ".zip",
}
"""What servers call the kinds of files, for addresses whose path has no ending, such as ``.../export?format=csv``."""


@contextlib.contextmanager
def fetched(root: Path, address: str) -> Iterator[Path]:
    """Yield the file, or the folder of s3, that an address leads to; it is gone after the block.

    It is called as the server calls it, or as the address ends; nothing behind a ? is part of the name. A user and a
    password in an https address are sent to the server, and stored nowhere. s3 takes its credentials, region and
    endpoint from the environment, as the command line of AWS does. Raises UserError if there is no table.
    """
    sources.check_address(address, "FILE")
    above = root.joinpath(*sources.DOWNLOADS)
    above.mkdir(parents=True, exist_ok=True)
    _sweep(above)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=above))  # other commands may be downloading, too
    try:
        yield (_from_s3 if address.lower().startswith("s3://") else _from_web)(address, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # others are in it
            above.rmdir()


def _sweep(above: Path) -> None:
    """Remove the downloads of commands that were killed: their process is gone, or they are older than a day."""
    for folder in above.iterdir():
        try:
            old = time.time() - folder.stat().st_mtime > DAY
            if old or not _is_alive(folder.name.partition("-")[0]):
                shutil.rmtree(folder, ignore_errors=True)
        except FileNotFoundError:  # its command has just ended
            pass


def _is_alive(process: str) -> bool:
    if not process.isdecimal():
        return True  # until it is old
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # of another person
        pass
    return True


def _from_web(address: str, folder: Path) -> Path:
    shown = address_without_secrets(address)
    try:
        with urllib.request.urlopen(_request(address), timeout=PATIENCE) as answer:
            place = folder / _name(address, answer.headers, shown)
            length = _length(answer.headers, shown)
            with place.open("wb") as file:
                shutil.copyfileobj(answer, file)
    except UserError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise UserError(
            f"{shown}: the server answers {error.code} {error.reason}; check the address"
            f"{' and what it takes to log in' if error.code in (401, 403) else ''}"
        ) from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        # the network's errors are OSErrors as well, so those come before the disk's
        reason = " ".join(str(getattr(error, "reason", error)).split())[:120]
        raise UserError(f"{shown} cannot be fetched ({reason}); check the address and the network") from error
    except OSError as error:
        raise UserError(_of_the_disk(shown, error)) from error
    if length is not None and place.stat().st_size < length:
        raise UserError(f"{shown}: the download broke off after {place.stat().st_size:,} of {length} bytes; try again")
    return place


def _length(headers: Message, shown: str) -> int | None:
    """Return how many bytes the server says it sends; None if it does not say."""
    told = headers.get("Content-Length")
    if told is None:
        return None
    if not (told.strip().isascii() and told.strip().isdecimal()):
        raise UserError(f"{shown}: the server's Content-Length is no number ({told[:20]!r}); download it yourself")
    return int(told)


def _of_the_disk(shown: str, error: OSError) -> str:
    return f"{shown} cannot be written to .work/downloads ({error.strerror or error}); free some disk space"


def _request(address: str) -> urllib.request.Request:
    """Return the request, with user and password in a header: urllib would take them for a part of the host."""
    parts = urllib.parse.urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    path = urllib.parse.quote(parts.path, safe="/%:@!$&'()*+,;=~")
    query = urllib.parse.quote(parts.query, safe="/%:@!$&'()*+,;=~?[]|")
    request = urllib.request.Request(parts._replace(netloc=host, path=path, query=query, fragment="").geturl())
    if at:
        known = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {known}")
    return request


def _name(address: str, headers: Message, shown: str) -> str:
    """Return what to call the file; UserError for a web page, and for a kind that is not read."""
    kind = headers.get_content_type()
    told = headers.get_filename() or urllib.parse.unquote(urllib.parse.urlsplit(address).path)
    name = PurePosixPath(told.replace("\\", "/")).name
    name = "".join(one if one.isprintable() else "_" for one in name).lstrip(".")
    name = name.encode(errors="replace")[-LONGEST_NAME:].decode(errors="ignore")
    if sources.ending(name) or name.lower().endswith(".npz"):
        return name
    if kind in TYPES:
        return f"{name or 'table'}{TYPES[kind]}"
    if kind == "text/html":
        raise UserError(f"{shown} is a web page and no table; use the address of the file itself")
    raise UserError(f"{shown} is of a kind that is not read ({name or kind}); {sources.conversion(name)}")


def _from_s3(address: str, folder: Path) -> Path:
    from pyarrow import fs

    shown = address_without_secrets(address)
    try:
        system, path = fs.FileSystem.from_uri(address)
        there = system.get_file_info(path)
        if there.type == fs.FileType.NotFound:
            raise UserError(f"{shown}: there is no such file or folder; check the address")
        name = PurePosixPath(path).name
        if name in ("", ".."):
            raise UserError(f"{shown} names no file or folder of a bucket; check the address")
        place = folder / name
        if there.type == fs.FileType.Directory:
            _copy_folder(system, path, place, shown)
        elif not sources.ending(place.name):
            raise UserError(f"{shown} is of a kind that is not read; {sources.conversion(place.name)}")
        else:
            with system.open_input_stream(path) as stream, place.open("wb") as file:
                shutil.copyfileobj(stream, file)
    except UserError:
        raise
    except (OSError, ValueError) as error:  # Arrow's errors are among them
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(_of_the_disk(shown, error)) from error
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{shown} cannot be fetched ({reason}); check the address and your credentials") from error
    return place


def _copy_folder(system: Any, path: str, place: Path, shown: str) -> None:
    """Copy all files below a path of a store to a folder; UserError for one whose path leads out of it.

    Names in a store are any texts: `../evil.csv` is one.
    """
    from pyarrow import fs

    prefix = path.rstrip("/") + "/"
    files = [one.path for one in system.get_file_info(fs.FileSelector(path, recursive=True)) if one.is_file]
    for file in files:
        below = file.removeprefix(prefix)
        if not file.startswith(prefix) or below.startswith("/") or {"", ".", ".."} & set(below.split("/")):
            raise UserError(f"{shown} holds a file whose name leads out of the folder ({file[:120]!r}); rename it")
    place.mkdir()
    for file in files:
        copy = place / file.removeprefix(prefix)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with system.open_input_stream(file) as stream, copy.open("xb") as written:
            shutil.copyfileobj(stream, written)
