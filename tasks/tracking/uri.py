"""Where MLflow keeps its runs: tracking URIs, checked without importing MLflow."""

import difflib
import importlib.util
import os
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from hone.errors import SECRET, UserError, shortened, without_secrets

DATABASES = {"sqlite": "sqlite3", "postgresql": "psycopg2", "mysql": "MySQLdb", "mssql": "pyodbc"}
SERVERS = ("http", "https", "databricks")
KNOCK = 2.0
"""Seconds a server may take to open a connection."""
ANSWER = 10.0
"""Seconds it may take to answer."""
FOLDERS = ("PWD", "OLDPWD")
SHORTEST_SECRET = 6
"""Characters: what is shorter may stand in any text."""
REMEDY = "use null, none (no tracking), sqlite:///mlflow.db, postgresql://user:password@host/name or http://host:5000"


def resolve(root: Path, uri: str | None) -> str:
    """Return a tracking URI that does not depend on the working directory; None is mlflow.db in the project.

    Raises UserError if the URI is malformed, of a scheme that cannot work, or needs a driver that is not installed.
    """
    if uri is None:
        return f"sqlite:///{root.resolve() / 'mlflow.db'}"
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises ValueError if it is no number
    except ValueError:  # its text may be a part of a password with a slash in it
        raise _malformed(uri, "its host or port is none; write / and @ in a password as %2F and %40") from None
    scheme, _, driver = parts.scheme.partition("+")
    if uri == "databricks":
        return uri
    if not scheme or "://" not in uri:
        raise _malformed(uri, "it has no scheme; MLflow no longer writes to plain folders")
    if scheme in SERVERS:
        if not parts.hostname:
            raise _malformed(uri, "it names no host")
        return uri.rstrip("/")
    if scheme not in DATABASES:
        near = difflib.get_close_matches(scheme, [*DATABASES, *SERVERS], n=1)
        hint = f"did you mean {near[0]}?" if near else REMEDY
        raise UserError(f"tracking.uri: {shown(uri)} has the unknown scheme {scheme!r}; {hint}")
    if scheme == "sqlite":
        return _sqlite(root, uri)
    if not parts.hostname and not parts.query:
        raise _malformed(uri, "it names no host")
    module = {"pymysql": "pymysql", "psycopg": "psycopg"}.get(driver, driver) or DATABASES[scheme]
    if importlib.util.find_spec(module) is None:
        raise UserError(f"tracking.uri: {shown(uri)} needs the package {module}, which is not installed; install it")
    return uri


def knock(uri: str) -> None:
    """Raise OSError if nobody listens at a server's address, or nobody answers there.

    Sooner than MLflow would, and before it is imported, which takes seconds of a core that could train meanwhile.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.hostname is None or getproxies().get(parts.scheme):
        return  # a proxy answers for it
    address = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    with socket.create_connection(address, KNOCK) as opened:
        if parts.scheme == "http":  # any answer will do
            opened.settimeout(ANSWER)
            opened.sendall(f"HEAD /health HTTP/1.1\r\nHost: {parts.hostname}\r\nConnection: close\r\n\r\n".encode())
            if not opened.recv(1):
                raise ConnectionError("the server ends the connection without an answer")


def sqlite_path(uri: str) -> Path | None:
    """Return the database file of a URI that `resolve` returned; None if it is no SQLite database."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def _sqlite(root: Path, uri: str) -> str:
    name, question, query = uri.partition("://")[2].removeprefix("/").partition("?")
    if not uri.startswith("sqlite:///") or not name or name == ":memory:":
        raise _malformed(uri, "it names no file")
    path = root.resolve() / name
    if path.is_dir():
        raise _malformed(uri, "it names a folder")
    return f"sqlite:///{path}{question}{query}"


def _malformed(uri: str, why: str) -> UserError:
    return UserError(f"tracking.uri: {shown(uri)} is no tracking URI, {why}; {REMEDY}")


def shown(uri: str) -> str:
    """Return a URI without user, password and tokens, quoted."""
    if "://" not in uri:  # mistyped: what stands before an @ is a password all the same
        _, at, tail = uri.rpartition("@")
        uri = f"***@{tail}" if at else uri
    return repr(without_secrets(uri))


def one_line(error: Exception) -> str:
    """Return an exception as one short line, without passwords, those in the environment's variables among them."""
    return shortened(hidden(" ".join(f"{error}".split()) or type(error).__name__), 160)


def hidden(text: str) -> str:
    """Return a text without the secrets in addresses, and in variables that are called like one."""
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and name not in FOLDERS and re.search(SECRET, name, re.IGNORECASE):
            text = text.replace(value, "***")
    return without_secrets(text)
