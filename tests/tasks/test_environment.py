"""Is this environment the one that a lock file pins? And if not, what is done to have it."""

import platform
from collections.abc import Sequence
from pathlib import Path

import pytest

from hone.errors import UserError
from tasks import environment

LOCK = """
# resolved by make lock
--extra-index-url https://example.org
Some_Package==1.2.0
torch==2.13.0  # the CPU's build has a suffix
loose>=3
elsewhere==1.0; sys_platform == "nowhere"
hashed==4.0 \\
    --hash=sha256:00
"""


def test_pins_are_the_exact_versions_for_this_machine() -> None:
    assert environment.pins(LOCK) == {"some-package": "1.2.0", "torch": "2.13.0", "hashed": "4.0"}


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({"some-package": "1.2.0", "torch": "2.13.0+cpu"}, []),
        ({"some-package": "1.2", "other": "7"}, []),  # 1.2 and 1.2.0 are one version; what is not pinned does not count
        ({"torch": "2.12.0+cpu"}, ["torch 2.13.0 (here 2.12.0+cpu)"]),
        ({"torch": "2.13.0", "some-package": "1.3"}, ["some-package 1.2.0 (here 1.3)"]),
        ({}, []),
    ],
)
def test_only_what_is_installed_in_another_version_differs(installed: dict[str, str], expected: list[str]) -> None:
    assert environment.differences(environment.pins(LOCK), installed) == expected


def test_this_environment_is_its_own(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("\n".join(f"{name}=={version}" for name, version in environment.installed().items()))
    assert environment.differs(lock, platform.python_version()) == []
    lock.write_text("numpy==0.0.1\n")
    (said,) = environment.differs(lock, None)
    assert said.startswith("numpy 0.0.1 (here ")
    assert environment.differs(tmp_path / "none", "2.7.18") == [f"Python 2.7.18 (here {platform.python_version()})"]


def test_an_environment_is_built_by_the_lock_file_with_the_runs_python(tmp_path: Path) -> None:
    asked: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> str:
        asked.append(command)
        return ""

    (tmp_path / "requirements.lock").write_text("")
    made = environment.build(tmp_path, tmp_path / "venv", None, run)
    assert made == tmp_path / "venv" / "bin" / "python"
    assert asked[0][1:] == ["-m", "venv", str(tmp_path / "venv")]
    assert asked[1][0] == str(made)
    assert list(asked[1][-4:]) == ["-c", "requirements.lock", "-e", "."]
    with pytest.raises(UserError, match=r"Python 2\.3: .* no python2\.3 on PATH"):
        environment.build(tmp_path, tmp_path / "venv", "2.3.5", run)
