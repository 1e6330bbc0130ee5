"""What Prefect reads before anything else: a person's own profile, and which lines its pages show."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2]
PROFILE = 'active = "cloud"\n[profiles.cloud]\nPREFECT_API_URL = "https://api.example/acc"\nPREFECT_API_KEY = "pnu_1"\n'
ASK = """
import flows
from prefect.settings import PREFECT_API_URL, PREFECT_HOME
print(PREFECT_API_URL.value(), PREFECT_HOME.value())
"""


@pytest.mark.parametrize("own_home", [False, True])
def test_a_profile_of_prefect_cloud_login_is_used_unless_prefect_home_is_set(own_home: bool, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / "profiles.toml").write_text(PROFILE)
    project.mkdir()
    (project / "prefect.toml").write_text('home = ".prefect"\n')
    unset = ("PREFECT_PROFILES_PATH", "PREFECT_HOME", "PREFECT_API_URL")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": str(HERE)}
    if own_home:
        environment["PREFECT_HOME"] = str(project / "elsewhere")
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=project, env=environment, capture_output=True, text=True, check=True
    )
    url, home = done.stdout.split()
    assert url == ("None" if own_home else "https://api.example/acc")
    assert Path(home) == (project / "elsewhere" if own_home else Path(".prefect"))


def test_without_a_home_there_is_no_profile_and_no_error() -> None:
    """In a container, a user id may have no account."""
    script = "import os, pwd\nos.environ.pop('HOME')\npwd.getpwuid = lambda _: {}[0]\nimport flows"
    environment = {**os.environ, "HOME": "/", "PYTHONPATH": str(HERE)}
    environment.pop("PREFECT_PROFILES_PATH", None)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
