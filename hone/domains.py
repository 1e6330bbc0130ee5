"""Domains: what one parameter may be, and its coordinate on the unit interval.

Notation
--------
u   a coordinate, in [0, 1]
v   a value; a *legal* value is one that some u decodes to, or a bound

``decode(encode(v)) == v`` for every legal value. Floats are decoded to `DIGITS` digits: exp and log differ in
their last bit between platforms, and a config must not.
"""

import json
import math
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from hone.errors import UserError, shortened
from hone.trial import Value

Array = NDArray[np.float64]

LARGEST, LARGEST_WHOLE = 1e100, 2**53
"""Of numbers in a space: beyond, their differences overflow, or floats no longer tell whole numbers apart."""
DIGITS = 6  # of a float: significant ones on a log scale, relative to the width of the domain on a linear one


@dataclass(frozen=True)
class Float:
    """A real number in [low, high]; on a log scale if `log`."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)
        object.__setattr__(self, "low", float(self.low))
        object.__setattr__(self, "high", float(self.high))

    @property
    def middle(self) -> float:
        """Return the value half-way, on the domain's own scale."""
        return self.decode(0.5)

    def encode(self, value: Value) -> float:
        """Return u in [0, 1]; values beyond a bound are encoded as the bound."""
        low, high, v = self._scaled(self.low), self._scaled(self.high), self._scaled(self.clip(value))
        return _clip((v - low) / (high - low), 0.0, 1.0) if high > low else 0.5

    def decode(self, u: float) -> float:
        """Return the value at u; the bounds themselves at 0 and 1."""
        if u <= 0:
            return self.low
        if u >= 1:
            return self.high
        low, high = self._scaled(self.low), self._scaled(self.high)
        v = low + float(u) * (high - low)
        return _clip(self._rounded(math.exp(v) if self.log else v), self.low, self.high)

    def clip(self, value: Value) -> float:
        """Return the value, or the bound that it lies beyond."""
        return _clip(float(value), self.low, self.high)

    def contains(self, value: Value) -> bool:
        """Return whether value is a number within the bounds."""
        return is_number(value) and self.low <= float(value) <= self.high

    def to_json(self) -> dict[str, Any]:
        """Return what params.yaml would say."""
        return {"type": "float", "low": self.low, "high": self.high, "log": self.log}

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.log else value

    def _rounded(self, value: float) -> float:
        if self.log:
            return float(f"{value:.{DIGITS - 1}e}")
        width = self.high - self.low
        return round(value, DIGITS - math.ceil(math.log10(width))) if width > 0 else value


@dataclass(frozen=True)
class Int:
    """A whole number in [low, high], both included; on a log scale if `log`.

    Every value owns an equal part of the unit interval, or, on a log scale, that between ``log(v ± 1/2)``.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)
        for name, bound in (("low", self.low), ("high", self.high)):
            if bound != int(bound):
                raise UserError(f"{name} {bound} is not a whole number; use type: float, or a whole number")
            if abs(bound) > LARGEST_WHOLE:
                raise UserError(f"{name} {bound:g} is too large for a whole number; stay within {LARGEST_WHOLE}")
            object.__setattr__(self, name, int(bound))

    @property
    def middle(self) -> int:
        """Return the value half-way, on the domain's own scale."""
        return self.decode(0.5)

    def encode(self, value: Value) -> float:
        """Return u in [0, 1]; values beyond a bound are encoded as the bound."""
        left, right = self._edges()
        v = self.clip(value)
        return ((math.log(v) if self.log else float(v)) - left) / (right - left)

    def decode(self, u: float) -> int:
        """Return the value whose part of the unit interval holds u."""
        left, right = self._edges()
        v = left + _clip(float(u), 0.0, 1.0) * (right - left)
        return int(_clip(math.floor((math.exp(v) if self.log else v) + 0.5), self.low, self.high))

    def clip(self, value: Value) -> int:
        """Return the value as a whole number, or the bound that it lies beyond."""
        return int(_clip(round(float(value)), self.low, self.high))

    def contains(self, value: Value) -> bool:
        """Return whether value is a whole number within the bounds."""
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def to_json(self) -> dict[str, Any]:
        """Return what params.yaml would say."""
        return {"type": "int", "low": self.low, "high": self.high, "log": self.log}

    def __str__(self) -> str:
        return f"{self.low} to {self.high}{' (log)' if self.log else ''}"

    def _edges(self) -> tuple[float, float]:
        if self.log:
            return math.log(self.low - 0.5), math.log(self.high + 0.5)
        return self.low - 0.5, self.high + 0.5


@dataclass(frozen=True)
class Categorical:
    """One of several choices, in no order; each owns an equal part of the unit interval."""

    choices: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(self.choices))
        if not self.choices:
            raise UserError("choices is empty; list at least one value")
        wrong = [choice for choice in self.choices if not is_value(choice)]
        if wrong:
            raise UserError(f"choices holds {wrong[0]!r}; a choice is a text, a finite number, true or false")
        seen = [json.dumps(choice) for choice in self.choices]
        if len(set(seen)) < len(seen):
            double = next(text for text in seen if seen.count(text) > 1)
            raise UserError(f"choices holds {double} twice; name each once")

    @property
    def middle(self) -> Value:
        """Return the first choice: choices have no middle."""
        return self.choices[0]

    def encode(self, value: Value) -> float:
        """Return the middle of the choice's part of [0, 1]; ValueError if it is none of the choices."""
        return (self.index(value) + 0.5) / len(self.choices)

    def decode(self, u: float) -> Value:
        """Return the choice whose part of the unit interval holds u."""
        n = len(self.choices)
        return self.choices[min(int(_clip(float(u), 0.0, 1.0) * n), n - 1)]

    def clip(self, value: Value) -> Value:
        """Return the value if it is a choice, else the first choice."""
        return self.choices[self.index(value)] if self.contains(value) else self.choices[0]

    def contains(self, value: Value) -> bool:
        """Return whether value is one of the choices, of the same type."""
        return any(same(choice, value) for choice in self.choices)

    def index(self, value: Value) -> int:
        """Return the position of a choice; ValueError if it is none."""
        for position, choice in enumerate(self.choices):
            if same(choice, value):
                return position
        raise ValueError(f"{value!r} is none of {list(self.choices)}")

    def to_json(self) -> dict[str, Any]:
        """Return what params.yaml would say."""
        return {"type": "categorical", "choices": list(self.choices)}

    def __str__(self) -> str:
        return ", ".join(str(choice) for choice in self.choices)


@dataclass(frozen=True)
class Fixed:
    """A single value; its coordinate is ignored."""

    value: Value

    def __post_init__(self) -> None:
        if not is_value(self.value):
            raise UserError(f"{self.value!r} is no value; give a text, a finite number, true or false")

    @property
    def middle(self) -> Value:
        """Return the value."""
        return self.value

    def encode(self, value: Value) -> float:
        """Return 0.5."""
        return 0.5

    def decode(self, u: float) -> Value:
        """Return the value, whatever u is."""
        return self.value

    def clip(self, value: Value) -> Value:
        """Return the fixed value."""
        return self.value

    def contains(self, value: Value) -> bool:
        """Return whether value is the fixed one."""
        return same(self.value, value)

    def to_json(self) -> dict[str, Any]:
        """Return what params.yaml would say, at length."""
        return {"type": "fixed", "value": self.value}

    def __str__(self) -> str:
        return str(self.value)


Domain = Float | Int | Categorical | Fixed


def decode_all(domain: Domain, u: Array) -> Array:
    """Return what coordinates decode to: numbers, or positions among choices; as `decode` does, unrounded floats."""
    u = np.clip(u, 0.0, 1.0)
    match domain:
        case Fixed():
            return np.zeros(len(u))
        case Categorical(choices):
            return np.minimum(np.floor(u * len(choices)), len(choices) - 1)
        case Int(low, high, log):
            left, right = domain._edges()
            v = left + u * (right - left)
            return np.clip(np.floor((np.exp(v) if log else v) + 0.5), low, high)
        case Float(low, high, log):
            if log:
                return np.asarray(np.exp(math.log(low) + u * (math.log(high) - math.log(low))), dtype=np.float64)
            return low + u * (high - low)


def encode_all(domain: Domain, values: Array) -> Array:
    """Return the coordinates that `encode` gives to what `decode_all` returned."""
    match domain:
        case Fixed():
            return np.full(len(values), 0.5)
        case Categorical(choices):
            return (values + 0.5) / len(choices)
        case Int(low, high, log):
            left, right = domain._edges()
            return ((np.log(values) if log else values) - left) / (right - left)
        case Float(low, high, log):
            if high == low:
                return np.full(len(values), 0.5)
            left, right = (math.log(low), math.log(high)) if log else (low, high)
            return np.clip(((np.log(values) if log else values) - left) / (right - left), 0.0, 1.0)


def _check_bounds(low: object, high: object, log: bool) -> None:
    for name, bound in (("low", low), ("high", high)):
        if not is_number(bound) or bound != bound or abs(bound) == math.inf:
            raise UserError(f"{name} {bound!r} is no finite number; give a number")
        if abs(bound) > LARGEST:
            raise UserError(f"{name} {shortened(str(bound), 20)} is too large; stay within {LARGEST:g}")
    lower, upper = cast(float, low), cast(float, high)
    if lower > upper:
        raise UserError(f"low {lower:g} is above high {upper:g}; swap them")
    if log and lower <= 0:
        raise UserError(f"low {lower:g} has no logarithm; with log: true, low must be above 0")


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether value is an int or a float; True is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_value(value: object) -> TypeGuard[Value]:
    """Return whether a config can have a value: a text, a truth value, or a number that files and databases hold."""
    if isinstance(value, str | bool):
        return True
    return is_number(value) and (abs(value) < math.inf if isinstance(value, float) else value.bit_length() < 64)


def same(a: Value, b: Value) -> bool:
    """Return whether two values are equal in a config."""
    # 1 == True in Python, but not in a config.
    return a == b and isinstance(a, bool) == isinstance(b, bool)
