"""Tables from files and from scikit-learn, with errors that say what to mend."""

from tasks.tables.read import read_pieces, read_table
from tasks.tables.sets import load_sklearn

__all__ = ["load_sklearn", "read_pieces", "read_table"]
