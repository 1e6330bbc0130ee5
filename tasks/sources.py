"""What a table may be read from, and the command that converts what is not read. Imports nothing slow."""

import difflib
import os
import re
import shlex
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from hone.data.endings import PICTURES
from hone.errors import UserError, address_without_secrets

SKLEARN = "sklearn:"
COMPRESSED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
"""Endings of compressed text, with the program that unpacks it."""
DELIMITED = (".csv", ".tsv")
JSON_LINES = (".jsonl", ".ndjson")
ARROW = (".feather", ".arrow")
ENDINGS = (
    *(ending + packed for ending in (*DELIMITED, *JSON_LINES) for packed in ("", *COMPRESSED)),
    *(".parquet", ".xlsx", *ARROW, ".zip"),
)
READ = ".csv, .tsv, .jsonl (also .gz, .bz2, .xz, .zst), .parquet, .feather, .arrow, .xlsx, .zip of one of them"
"""The kinds of files that are read, as messages list them."""
FETCHED = ("https", "http", "s3")
"""Schemes of addresses that `tasks.download` fetches."""
DOWNLOADS = (".work", "downloads")
"""Where it puts them, each into a folder that is gone once the command has ended."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_PANDAS = 'python -c "import pandas; pandas.{reader}({name!r}).to_parquet({stem!r})"'
_OFFICE = "libreoffice --headless --convert-to xlsx {file}"
_COMMANDS = {
    ".xls": _OFFICE,
    ".xlsm": _OFFICE,
    ".xlsb": _OFFICE,
    ".ods": _OFFICE,
    ".json": _PANDAS.replace("{reader}", "read_json"),
    ".orc": _PANDAS.replace("{reader}", "read_orc"),
    ".dta": _PANDAS.replace("{reader}", "read_stata"),
    ".sas7bdat": _PANDAS.replace("{reader}", "read_sas"),
    ".xpt": _PANDAS.replace("{reader}", "read_sas"),
    ".sav": "pip install pyreadstat && " + _PANDAS.replace("{reader}", "read_spss"),
    ".h5": "pip install tables && " + _PANDAS.replace("{reader}", "read_hdf"),
    ".hdf5": "pip install tables && " + _PANDAS.replace("{reader}", "read_hdf"),
    ".pkl": _PANDAS.replace("{reader}", "read_pickle") + "  # it runs code from the file: only if you trust it",
    ".pickle": _PANDAS.replace("{reader}", "read_pickle") + "  # it runs code from the file: only if you trust it",
    ".rds": 'Rscript -e \'write.csv(readRDS("{raw}"), "{plain}.csv", row.names = FALSE)\'',
    ".rdata": 'Rscript -e \'write.csv(get(load("{raw}")[1]), "{plain}.csv", row.names = FALSE)\'',
    ".sqlite": "sqlite3 -header -csv {file} 'SELECT * FROM TABLE' > {csv}",
    ".sqlite3": "sqlite3 -header -csv {file} 'SELECT * FROM TABLE' > {csv}",
    ".db": "sqlite3 -header -csv {file} 'SELECT * FROM TABLE' > {csv}",
    ".duckdb": "duckdb -csv {file} 'SELECT * FROM TABLE' > {csv}",
    ".mat": 'python -c "import pandas, scipy.io; '
    "pandas.DataFrame(scipy.io.loadmat({name!r})['VARIABLE']).to_csv({table!r}, index=False)\"",
    ".arff": 'python -c "import pandas, scipy.io.arff as arff; pandas.DataFrame(arff.loadarff({name!r})[0])'
    '.map(lambda cell: cell.decode() if isinstance(cell, bytes) else cell).to_csv({table!r}, index=False)"',
    ".npy": 'python -c "import numpy, pandas; '
    "pandas.DataFrame(numpy.load({name!r})).add_prefix('c').to_csv({table!r}, index=False)\"",
    ".txt": "cp {file} {csv}  # if it is text with a delimiter",
    ".data": "cp {file} {csv}  # if it is text with a delimiter",
    ".dat": "cp {file} {csv}  # if it is text with a delimiter",
    ".tab": "cp {file} {tsv}",
    ".tar": "tar -xf {file}",
    ".tar.gz": "tar -xf {file}",
    ".tgz": "tar -xf {file}",
    ".7z": "7z x {file}",
    ".rar": "7z x {file}",
    ".gz": "gzip -dk {file}",
    ".avro": "duckdb -csv -c \"INSTALL avro; LOAD avro; SELECT * FROM read_avro('{raw}')\" > {csv}",
}
_EXPORTS = {
    "postgresql": "psql {address} -c \"\\copy TABLE TO 'TABLE.csv' CSV HEADER\"",
    "postgres": "psql {address} -c \"\\copy TABLE TO 'TABLE.csv' CSV HEADER\"",
    "mysql": "mysql --host HOST --user USER -p --batch -e 'SELECT * FROM TABLE' DATABASE > TABLE.tsv",
    "mariadb": "mariadb --host HOST --user USER -p --batch -e 'SELECT * FROM TABLE' DATABASE > TABLE.tsv",
    "sqlite": "sqlite3 -header -csv FILE 'SELECT * FROM TABLE' > TABLE.csv",
    "mongodb": "mongoexport --uri {address} --collection NAME --type csv --fields A,B --out NAME.csv",
    "gs": "gcloud storage cp {address} .",
    "hf": "hf download REPOSITORY FILE --repo-type dataset --local-dir .",
    "az": "az storage blob download --blob-url URL --file FILE",
    "ftp": "curl -O {address}",
    "sftp": "curl -O {address}",
    "file": "hone add FILE  # the path alone",
}


def is_sklearn(source: str) -> bool:
    """Return whether `data.source` names one of scikit-learn's sets."""
    return source.startswith(SKLEARN)


def is_address(source: str) -> bool:
    """Return whether a source is an address such as https://... and no path."""
    return _ADDRESS.match(source) is not None


def ending(name: str) -> str:
    """Return a file's ending by which it is read, lower case, such as ".csv.gz"; "" if it is not read."""
    return next((each for each in sorted(ENDINGS, key=len, reverse=True) if name.lower().endswith(each)), "")


def locate(root: Path, source: str) -> Path:
    """Return the path of a person's own table.

    Raises UserError for one outside data/raw/, which neither DVC nor a colleague's clone would have.
    """
    if is_address(source):
        check_address(source, "data.source")
        shown = address_without_secrets(source)
        raise UserError(
            f"data.source: {shown} is no file of the project; `hone add {shlex.quote(shown)}`{_fill_in(shown)} "
            "downloads it"
        )
    # links are not followed: DVC may keep the file itself in its cache
    path = Path(os.path.abspath(root / source))
    raw = Path(os.path.abspath(root / "data" / "raw"))
    if path == raw:
        raise UserError(f"data.source: {source} is the folder of all data; name a file or a folder in it")
    if not path.is_relative_to(raw):
        known = raw / path.name
        hint = f"use data/raw/{path.name}" if known.is_file() else f"`hone add {shlex.quote(source)}` puts it there"
        raise UserError(f"data.source: {source} is not in data/raw/, so its changes would go unseen; {hint}")
    return root / source


def check_address(address: str, name: str) -> None:
    """Raise UserError, with the command that exports a table, for an address that is not fetched."""
    match = _ADDRESS.match(address)
    scheme = match.group(1).lower() if match else ""
    if scheme in FETCHED:
        return
    shown = re.sub(r"^(\w+)\+\w+://", r"\1://", address_without_secrets(address))
    command = _EXPORTS.get(scheme.split("+")[0])
    fill_in = _fill_in(shown) if command and "{address}" in command else ""
    remedy = (
        f"export the table first: `{command.format(address=shlex.quote(shown))}`{fill_in}"
        if command
        else "save the table as .csv first"
    )
    raise UserError(f"{name}: {shown}: tables are fetched from https:// and s3:// only; {remedy}")


def _fill_in(shown: str) -> str:
    return " (with your password for ***)" if "***" in shown else ""


def check_file(path: Path, name: str) -> None:
    """Raise UserError for a file that is missing, empty or of a kind that is not read, and a folder without tables."""
    if path.is_dir():
        if not holds_tables(path):
            raise UserError(f"{name} is a folder without tables; name a table ({READ}), or a folder of parts of one")
        return
    if not path.exists():
        near = _nearest(path)
        hint = f"did you mean {beside(name, near)}?" if near else "add it with `hone add FILE`, or mend the path"
        raise UserError(f"{name}: there is no such file; {hint}")
    if not ending(path.name):
        raise UserError(f"{name} is of a kind that is not read; {conversion(name.removeprefix('data.source: '))}")
    if path.stat().st_size == 0:
        raise UserError(f"{name} is empty; it needs a header and rows")


def _nearest(path: Path) -> str | None:
    """Return the name of the table beside a path that is not there whose name is most like its; None if none is.

    Endings are left out of it: with them, any two names that end in .csv are alike.
    """
    siblings = sorted(other.name for other in path.parent.iterdir()) if path.parent.is_dir() else []
    stems: dict[str, list[str]] = {}
    for name in siblings:
        if ending(name):
            stems.setdefault(_stem(name), []).append(name)
    near = difflib.get_close_matches(_stem(path.name), stems, n=1)
    return difflib.get_close_matches(path.name, stems[near[0]], n=1, cutoff=0.0)[0] if near else None


def _stem(name: str) -> str:
    known = ending(name)
    return (name[: -len(known)] if known else Path(name).stem).lower()


def check(source: str) -> None:
    """Raise UserError at once for a file or an address that is not read, by its name."""
    if is_address(source):
        check_address(source, "FILE")
    else:
        check_kind(Path(source))


def check_kind(path: Path) -> None:
    """Raise UserError at once for a file that is missing, or neither a table nor pictures by its name.

    It needs none of the slow imports that reading does.
    """
    is_of_pictures = path.is_dir() or (path.is_file() and path.name.lower().endswith((".zip", ".npz")))
    if not is_of_pictures:
        check_file(path, str(path))


def conversion(name: str) -> str:
    """Return how to convert a file that is not read, as the end of a message: one command where there is one."""
    lower = name.lower()
    known = next((each for each in sorted(_COMMANDS, key=len, reverse=True) if lower.endswith(each)), None)
    if known is None:
        return f"use {READ}"
    if not re.fullmatch(r"[\w./ -]+", name):  # quotes in it would break the command
        name = f"FILE{known}"
    stem = name[: len(name) - len(known)]
    command = _COMMANDS[known].format(
        **{"file": shlex.quote(name), "name": name, "raw": name, "plain": stem},
        **{"stem": f"{stem}.parquet", "table": f"{stem}.csv"},
        **{"csv": shlex.quote(f"{stem}.csv"), "tsv": shlex.quote(f"{stem}.tsv")},
    )
    return f"convert it: `{command}`"


def check_links(path: Path, name: str) -> None:
    """Raise UserError for a folder with a link to a folder in it: some would follow the link, and others would not."""
    for folder, names, _ in os.walk(path):
        link = next((Path(folder, each) for each in sorted(names) if Path(folder, each).is_symlink()), None)
        if link is not None:
            where = link.relative_to(path).as_posix()
            raise UserError(f"{name}: {where!r} is a link to a folder; put the folder itself there")


def beside(name: str, other: str) -> str:
    """Return the path of a file beside the one that messages call `name`."""
    return str(Path(name.removeprefix("data.source: ")).with_name(other))


def holds_tables(path: Path) -> bool:
    """Return whether a folder or a zip holds tables and no pictures, by the names in it."""
    try:
        found = False
        for name in _names(path):
            if name.lower().endswith(PICTURES):
                return False
            found = found or is_part(name)
        return found
    except (zipfile.BadZipFile, OSError, NotImplementedError):
        return False


def is_part(name: str) -> bool:
    """Return whether a path in a folder or a zip is a table's, and not hidden."""
    hidden = any(part.startswith((".", "_")) for part in name.split("/"))
    return not hidden and ending(name) not in ("", ".zip")


def _names(path: Path) -> Iterator[str]:
    if path.is_dir():
        for folder, _, names in os.walk(path):
            yield from (Path(folder, name).relative_to(path).as_posix() for name in names)
    elif path.is_file() and path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield from archive.namelist()


def listed(names: Iterable[str], most: int = 4) -> str:
    """Return names as a short list: ``a, b and 3 more``."""
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
