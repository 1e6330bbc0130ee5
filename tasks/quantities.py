"""Durations and sizes as people write them."""

import re

LONGEST_TIME = 36_500 * 86_400
"""Seconds: a hundred years are more than anybody has, and less than a computer's dates overflow at."""
MOST_BYTES = 2**63 - 1  # what a signed 64-bit number holds


def seconds(text: str) -> float:
    """Return a duration such as "90s", "10m", "1.5h", "1h30m" or "7d" in seconds.

    Raises ValueError if it is none.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", text)
    if not parts or re.sub(r"(\d+(?:\.\d+)?)\s*([smhd])", "", text).strip():
        raise ValueError("is not a duration such as 90s, 10m or 1h30m")
    found = sum(float(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit] for number, unit in parts)
    if found > LONGEST_TIME:
        raise ValueError("is longer than a hundred years; give a duration such as 90s, 10m or 7d")
    return found


def size(text: str) -> int:
    """Return a size such as "500MB", "4GiB" or "1.5 TB" in bytes.

    Raises ValueError if it is none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT])(i?)B", text.strip())
    if found is None:
        raise ValueError("is not a size such as 500MB or 4GiB")
    n_bytes = float(found[1]) * (1024 if found[3] else 1000) ** (1 + "kMGT".index(found[2]))
    if n_bytes > MOST_BYTES:
        raise ValueError("is more than there is; give a size such as 500MB or 4GiB")
    return int(n_bytes)
