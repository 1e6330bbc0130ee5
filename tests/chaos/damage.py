"""Files as a bad disk, a torn write or a person's editor may leave them."""

import random
from pathlib import Path


def flip(path: Path, rng: random.Random) -> str:
    """Change one bit."""
    content = bytearray(path.read_bytes())
    if not content:
        return empty(path, rng)
    place = rng.randrange(len(content))
    content[place] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    return f"bit flipped in byte {place} of {len(content)}"


def cut(path: Path, rng: random.Random) -> str:
    """Leave a part of it."""
    content = path.read_bytes()
    left = rng.randrange(max(1, len(content)))
    path.write_bytes(content[:left])
    return f"cut to {left} of {len(content)} bytes"


def empty(path: Path, rng: random.Random) -> str:
    """Leave no byte of it."""
    path.write_bytes(b"")
    return "emptied"


def delete(path: Path, rng: random.Random) -> str:
    """Take it away."""
    path.unlink()
    return "deleted"


def garbage(path: Path, rng: random.Random) -> str:
    """Put something else in its place."""
    text = rng.choice([b"\0" * 64, b"{", b"null", b"[1, 2]", b"3", b'"x"', b"\xff\xfe\x00", b"{}", rng.randbytes(50)])
    path.write_bytes(text)
    return f"now {text[:12]!r}"


def zeros(path: Path, rng: random.Random) -> str:
    """Have its end be zeros, as a power cut does."""
    content = path.read_bytes()
    start = rng.randrange(max(1, len(content)))
    path.write_bytes(content[:start] + b"\0" * (len(content) - start))
    return f"zeros from byte {start} of {len(content)}"


def append(path: Path, rng: random.Random) -> str:
    """Add a torn line at its end."""
    text = rng.choice([b"{", b"garbage", b'{"trial": {"number": 1', rng.randbytes(20), b"null\n", b"{}\n", b"\n\n"])
    path.write_bytes(path.read_bytes() + text)
    return f"{text[:16]!r} appended"


def drop_line(path: Path, rng: random.Random) -> str:
    """Take one line out."""
    lines = path.read_bytes().splitlines(keepends=True)
    if not lines:
        return "left empty"
    number = rng.randrange(len(lines))
    path.write_bytes(b"".join(lines[:number] + lines[number + 1 :]))
    return f"line {number + 1} of {len(lines)} deleted"


def double_line(path: Path, rng: random.Random) -> str:
    """Have one line twice."""
    lines = path.read_bytes().splitlines(keepends=True)
    if not lines:
        return "left empty"
    number, place = rng.randrange(len(lines)), rng.randrange(len(lines) + 1)
    path.write_bytes(b"".join([*lines[:place], lines[number], *lines[place:]]))
    return f"line {number + 1} of {len(lines)} also put behind line {place}"


def swap_lines(path: Path, rng: random.Random) -> str:
    """Have the lines in another order."""
    lines = path.read_bytes().splitlines(keepends=True)
    rng.shuffle(lines)
    path.write_bytes(b"".join(lines))
    return "lines shuffled"


OF_FILES = (flip, cut, empty, delete, zeros, garbage)
OF_LINES = (flip, flip, cut, append, drop_line, double_line, swap_lines, zeros, empty, delete)
