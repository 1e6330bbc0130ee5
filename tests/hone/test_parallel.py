"""Work on an executor: what fails one piece costs no other, and what fails the machine stops all."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from hone.errors import MachineError
from hone.parallel import reason, settle


def halved(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number // 2


def written(number: int) -> int:
    if number == 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/file")
    return number


def opened(number: int) -> int:
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a/file")


def test_what_raises_costs_no_other_piece():
    with ThreadPoolExecutor(2) as pool:
        found = dict(settle(halved, [4, 5, 6], pool))
    assert (found[4], found[6]) == (2, 3)
    assert isinstance(found[5], ValueError)


def test_a_full_disk_is_no_result_of_a_piece():
    with ThreadPoolExecutor(2) as pool, pytest.raises(MachineError, match="a/file: No space left on device"):
        dict(settle(written, [0, 1, 2], pool))


def test_a_missing_file_is_one():
    with ThreadPoolExecutor(2) as pool:
        assert isinstance(dict(settle(opened, [0], pool))[0], FileNotFoundError)


def test_why_an_item_failed_shows_no_password() -> None:
    said = reason(ConnectionError("could not reach postgresql://me:hunter22@host/db?password=hunter22"))
    assert said.startswith("ConnectionError: could not reach postgresql://")
    assert "hunter22" not in said
