"""Quotes that were opened and not closed: a CSV value then holds the rows below it, up to the next quote.

Such a file is well formed to a parser, and the rows are gone without a word. What shows it: each line of the record
has as many delimiters as the header, which the lines of a description that was meant to be long do not.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow.compute as pc


def swallowed(columns: dict[str, Any], names: list[str], delimiter: str) -> dict[int, str]:
    """Return row → what is wrong, for the rows of a piece that hold further rows in a value.

    Args:
        columns: all columns of the file, text or bytes, in the order of `names`.
    """
    found: dict[int, str] = {}
    # A comma before a space is prose: rows rarely have it, descriptions do.
    mark = re.compile(re.escape(delimiter) + "(?! )")
    for place, name in enumerate(names if len(names) > 1 else []):
        values = columns[name]
        for row in np.flatnonzero(pc.match_substring(values, "\n").to_numpy(zero_copy_only=False)).tolist():
            value = values[row].as_py()
            lines = (value.decode("utf-8", "replace") if isinstance(value, bytes) else value).splitlines()
            if _are_rows([len(mark.findall(line)) for line in lines], place, len(names)):
                found[row] = (
                    f"{name}: holds {len(lines)} lines that are rows of the file, from {lines[0][:40]!r} to "
                    f"{lines[-1][:40]!r}: a quote was opened and not closed"
                )
    return found


def _are_rows(marks: list[int], place: int, width: int) -> bool:
    """Whether the lines of a value, with so many delimiters each, are rows together with the columns around it."""
    if len(marks) < 2:
        return False
    whole = [marks[0] + place, *marks[1:-1], marks[-1] + width - 1 - place]
    same = sum(count == width - 1 for count in whole)
    # In two columns one comma in a description would do: then a line between must be a row as well.
    return same > len(whole) / 2 and same >= (2 if width > 2 else 3)
