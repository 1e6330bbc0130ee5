"""The one exception that is meant for the person who runs Hone."""


class UserError(ValueError):
    """Input that a person can mend: one or two lines naming what, where, the value and the remedy.

    The command line prints the message without a traceback and exits with code 2.
    """
