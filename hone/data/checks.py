"""What makes a table unfit before anything is learnt from it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from hone.data import cells
from hone.data.schema import describe
from hone.errors import UserError

FEWEST_ROWS = 10


def check_table(frame: pd.DataFrame, source: str = "data.source", ignore: Sequence[str] = ()) -> None:
    """Raise a UserError if a table cannot be learnt from: no rows, equal column names, infinite values, too few rows.

    source: what the message calls the table. ignore: columns whose values do not matter.
    """
    names = [str(name) for name in frame.columns]
    check_names(names, source)
    if len(frame) == 0:
        raise UserError(f"{source}: the table has a header only ({len(names)} columns, no rows); add rows")
    if len(frame) < FEWEST_ROWS:
        raise UserError(
            f"{source}: the table has {len(frame)} rows, too few to train, validate and test; "
            f"at least {FEWEST_ROWS} are needed"
        )
    for name in frame.columns:
        if name in ignore or not pd.api.types.is_numeric_dtype(frame[name].dtype):
            continue
        _check_finite(frame[name], source)


def check_names(names: Sequence[str], source: str) -> None:
    """Raise a UserError naming the column names that occur more than once."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(f"{source}: {describe(repeated)} stands there more than once in the header; rename all but one")


def _check_finite(series: "pd.Series[float]", source: str) -> None:
    if pd.api.types.is_complex_dtype(series.dtype):
        return
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.abs(values) > cells.LARGEST
    if not bad.any():
        return
    row = int(bad.argmax())
    kind = "infinite" if np.isinf(values[row]) else "too large to compute with"
    more = f" (and {int(bad.sum()) - 1} more like it)" if bad.sum() > 1 else ""
    raise UserError(
        f"{source}: column {str(series.name)!r}, row {row + 1} is {kind}: {values[row]}{more}; "
        "leave the cell empty, or list the column in data.drop"
    )
