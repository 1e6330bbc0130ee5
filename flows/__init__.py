"""What runs when: Prefect flows, and the `hone` command that starts them."""

import os
from pathlib import Path

# Prefect reads these when it is imported, so they must be there before any module of this package imports it.
# What a run says is said by its reporter; Prefect's own lines go to its UI. A person's own settings come first.
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_LOGGING_INTERNAL_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
# `prefect cloud login` writes its profile here. Prefect would look for it in PREFECT_HOME, which is in the project.
# os.path leaves the ~ where nobody knows a home: without HOME, for a user id that has no account.
_PROFILES = Path(os.path.expanduser("~/.prefect/profiles.toml"))
if "PREFECT_HOME" not in os.environ and _PROFILES.is_file():
    os.environ.setdefault("PREFECT_PROFILES_PATH", str(_PROFILES))
# Prefect's pages show the lines of a run, and no others.
os.environ.setdefault("PREFECT_LOGGING_LOGGERS_PREFECT_FLOW_RUNS_LEVEL", "INFO")
os.environ.setdefault("PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL", "INFO")
