"""Lines of a file that is appended to, each with a digest: a kill tears the last one, and disks forget."""

import hashlib


def sealed(text: str) -> str:
    """Return a line of a file that is appended to: a digest, and a text, by which `unsealed` finds damage."""
    return f"{_digest(text.encode())} {text}\n"


def unsealed(line: bytes) -> str | None:
    """Return the text of a line, with its newline, that `sealed` returned; None if the line is another, or torn."""
    digest, _, text = line.partition(b" ")
    return text[:-1].decode() if text.endswith(b"\n") and digest == _digest(text[:-1]).encode() else None


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]
