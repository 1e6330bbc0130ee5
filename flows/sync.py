"""Sends what the trackers have not taken yet."""

import sys
from pathlib import Path

from tasks import project
from tasks import sync as work
from tasks.reporting import Reporter
from tasks.tracking import waiting


def sync(root: Path, reporter: Reporter) -> None:
    """Send what waits in .work/spool, and register the model if that is owed; UserError if something still waits."""
    with project.lock(root, "hone sync"):
        if not work.owed(root) and not waiting(root):
            reporter.message("nothing waits: the trackers have everything")
            return
        work.send(root, reporter)


if __name__ == "__main__":
    from flows import cli

    cli.run(["sync", *sys.argv[1:]])
