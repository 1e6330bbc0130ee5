"""Tells a header from a first row of data."""

import math
from collections.abc import Sequence
from itertools import pairwise

SHARE = 0.8
"""Of the words of a first line with repeated ones: so many are values of their columns if it is a row."""
EVEN = 1.1
"""Times the smallest step that the largest may be in a header of falling numbers, such as wave numbers."""


def is_row(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether the first line of a table is a row like the others, and the header is missing.

    rows: the first rows behind it. In a row of data, numbers stand where numbers do below, and words where words do.
    As a header may have numbers, too (0, 1, 2, or years), it takes numbers that neither rise from left to right nor
    are whole numbers in equal steps, nor fall in about equal steps, or words that are values of their columns as well.
    Different numbers beside a word that is no value of its column of a few levels are a header.
    """
    numbers: list[float] = []
    recurring: list[bool] = []
    foreign = False  # a word that is no value of its column of a few levels
    for place, name in enumerate(names):
        below = [row[place].strip() for row in rows if place < len(row) and row[place].strip()]
        if not below or not name.strip():
            continue
        number, others = _number(name), [_number(cell) for cell in below]
        if number is None:
            if sum(other is not None for other in others) > len(others) / 2:
                return False
            recurring.append(name.strip() in below)
            foreign |= not recurring[-1] and 2 * len(set(below)) <= len(below)
        elif sum(other is None for other in others) > len(others) / 2:
            return False
        else:
            numbers.append(number)
    steps = {right - left for left, right in pairwise(numbers)}
    even = len(numbers) > 2 and max(steps) < 0 and min(steps) >= EVEN * max(steps) and not any(recurring)
    named = len(set(numbers)) == len(numbers) and foreign and not any(recurring)
    years = len(steps) == 1 and 0 not in steps and all(number.is_integer() for number in numbers)
    if steps and min(steps) <= 0 and not (years or even or named):
        return True
    if len(numbers) + len(recurring) < 2 or not recurring:
        return False
    repeated = len(set(names)) < len(names)
    return all(recurring) or (repeated and sum(recurring) >= SHARE * len(recurring))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
