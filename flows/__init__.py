"""What runs when: Prefect flows, and the `hone` command that starts them."""

import os

# Prefect reads these when it is imported, so they must be there before any module of this package imports it.
# What a run says is said by its reporter; Prefect's own lines go to its UI. A person's own settings come first.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
