"""The exceptions that are meant for the person who runs Hone."""

import errno
import re

OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)

SECRET = "password|passwd|pwd|secret|token|credential|api_?key|access_?key|signature"
"""What names of secrets hold."""
_BY_QUOTES = r"[^\s'\"`<>]*@"
"""The rest of an address up to its last @: in a text, an address ends at a space or a quote."""
_BY_COLON = r"[^\s/:@\['\"`<>]*:(?!\s|\d{1,5}(?:[/?#:;,.)\s]|$))(?:(?!://|['\"`][\s,;.)])[^\n@])*@(?=[\w\[*.-])"
"""A user and a password with a space or a quote in it, up to the @ before a host. No port is behind the colon, and no
quote before a space, which ends what is quoted."""
_PARAMETER = rf"(?:(?<=[?&;])sig|(?<![\w.-])[\w.-]{{0,200}}?(?:{SECRET})[\w.-]{{0,64}})="
"""The name of a secret parameter: "sig" is Azure's."""
LONGEST = 600
"""Characters of a line in it: what a message quotes may be any cell, name or file."""


class UserError(ValueError):
    """Input that a person can mend: one or two lines naming what, where, the value and the remedy.

    The command line prints the message without a traceback and exits with code 2. Whatever is quoted in it, a
    terminal can show, and anybody may see: other characters are escaped, passwords in addresses are hidden, and long
    lines are cut in the middle.
    """

    def __init__(self, message: str) -> None:
        lines = without_secrets(message).split("\n")
        super().__init__("\n".join(shortened(printable(line), LONGEST) for line in lines))


def printable(text: str) -> str:
    r"""Return a text with what a terminal cannot show, or would obey, as escapes such as ``\x1b``; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


def without_secrets(text: str) -> str:
    """Return a text without passwords and tokens: what stands before the @ of an address, and ``password=...``.

    A password may hold @ and / itself, so all up to an address's last @ is hidden.
    """
    text = re.sub(rf"://(?!user:password@)(?:{_BY_COLON}(?:{_BY_QUOTES})?|{_BY_QUOTES})", "://***@", text)
    return re.sub(rf"(?i)({_PARAMETER})[^&;,\s'\"`<>)]+", r"\1***", text)


def address_without_secrets(address: str) -> str:
    """Return a whole address without its user, password and tokens, whatever signs are in them."""
    scheme, mark, rest = address.partition("://")
    _, at, place = rest.rpartition("@")
    return re.sub(rf"(?i)({_PARAMETER})[^&;]+", r"\1***", f"{scheme}{mark}***@{place}" if at else address)


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters, cut in the middle: the remedy is at a message's end."""
    if len(text) <= most:
        return text
    head = (most - 3) * 2 // 3
    return f"{text[:head]} … {text[len(text) - (most - 3 - head) :]}"


class MachineError(UserError):
    """The machine failed, not what was tried on it: no result is made of it, and the work stops until it is mended."""


def of_the_machine(error: OSError) -> MachineError | None:
    """Return what to say of an error of the operating system for which no config is to blame; None for others."""
    if error.errno not in OF_THE_MACHINE:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return MachineError(f"{where}{error.strerror}; mend that and run the same command: it goes on where it stopped")
