"""Tables fetched from https:// and s3:// addresses into a file."""

import base64
import contextlib
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from hone.errors import UserError, without_secrets
from tasks import sources

FOLDER = (".work", "downloads")
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
    folder = root.joinpath(*FOLDER)
    shutil.rmtree(folder, ignore_errors=True)  # of a command that was killed
    folder.mkdir(parents=True)
    try:
        yield (_from_s3 if address.lower().startswith("s3://") else _from_web)(address, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _from_web(address: str, folder: Path) -> Path:
    shown = without_secrets(address)
    try:
        with urllib.request.urlopen(_request(address), timeout=PATIENCE) as answer:
            place = folder / _name(address, answer.headers, shown)
            with place.open("wb") as file:
                shutil.copyfileobj(answer, file)
            length = answer.headers.get("Content-Length")
    except UserError:
        raise
    except urllib.error.HTTPError as error:
        error.close()
        raise UserError(
            f"{shown}: the server answers {error.code} {error.reason}; check the address"
            f"{' and what it takes to log in' if error.code in (401, 403) else ''}"
        ) from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", error)).split())[:120]
        raise UserError(f"{shown} cannot be fetched ({reason}); check the address and the network") from error
    if length is not None and place.stat().st_size < int(length):
        raise UserError(f"{shown}: the download broke off after {place.stat().st_size:,} of {length} bytes; try again")
    return place


def _request(address: str) -> urllib.request.Request:
    """Return the request, with user and password in a header: urllib would take them for a part of the host."""
    parts = urllib.parse.urlsplit(address)
    user, at, host = parts.netloc.rpartition("@")
    path = urllib.parse.quote(parts.path, safe="/%:@!$&'()*+,;=~")
    request = urllib.request.Request(parts._replace(netloc=host, path=path, fragment="").geturl())
    if at:
        known = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {known}")
    return request


def _name(address: str, headers: Message, shown: str) -> str:
    """Return what to call the file; UserError for a web page, and for a kind that is not read."""
    kind = headers.get_content_type()
    told = headers.get_filename() or urllib.parse.unquote(urllib.parse.urlsplit(address).path)
    name = PurePosixPath(told.replace("\\", "/")).name
    name = "".join(one if one.isprintable() else "_" for one in name).lstrip(".")[-200:]
    if sources.ending(name) or name.lower().endswith(".npz"):
        return name
    if kind in TYPES:
        return f"{name or 'table'}{TYPES[kind]}"
    if kind == "text/html":
        raise UserError(f"{shown} is a web page and no table; use the address of the file itself")
    raise UserError(f"{shown} is of a kind that is not read ({name or kind}); {sources.conversion(name)}")


def _from_s3(address: str, folder: Path) -> Path:
    from pyarrow import fs

    shown = without_secrets(address)
    try:
        system, path = fs.FileSystem.from_uri(address)
        there = system.get_file_info(path)
        if there.type == fs.FileType.NotFound:
            raise UserError(f"{shown}: there is no such file or folder; check the address")
        place = folder / PurePosixPath(path).name
        if there.type == fs.FileType.Directory:
            place.mkdir()
            fs.copy_files(path, str(place), source_filesystem=system)
        elif not sources.ending(place.name):
            raise UserError(f"{shown} is of a kind that is not read; {sources.conversion(place.name)}")
        else:
            with system.open_input_stream(path) as stream, place.open("wb") as file:
                shutil.copyfileobj(stream, file)
    except UserError:
        raise
    except (OSError, ValueError) as error:  # Arrow's errors are among them
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"{shown} cannot be fetched ({reason}); check the address and your credentials") from error
    return place
