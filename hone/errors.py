"""The exceptions that are meant for the person who runs Hone."""

import errno

OF_THE_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE)


class UserError(ValueError):
    """Input that a person can mend: one or two lines naming what, where, the value and the remedy.

    The command line prints the message without a traceback and exits with code 2.
    """


class MachineError(UserError):
    """The machine failed, not what was tried on it: no result is made of it, and the work stops until it is mended."""


def of_the_machine(error: OSError) -> MachineError | None:
    """Return what to say of an error of the operating system for which no config is to blame; None for others."""
    if error.errno not in OF_THE_MACHINE:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return MachineError(f"{where}{error.strerror}; mend that and run the same command: it goes on where it stopped")
