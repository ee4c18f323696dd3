"""Tables as CSV files, for spreadsheets and programs.

Amounts are in dollars with all six places, times in ISO 8601 UTC, the first line names the columns. A text that a
spreadsheet would take for a formula gets an apostrophe in front of it, which makes it a text again: people choose names
and labels, and other people open the file. Numbers and times are written by us and stay as they are.
"""

import csv
import io
from collections.abc import Iterable, Sequence

Cell = str | int | None

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""How a text begins that some spreadsheet carries out."""

MOST_ROWS = 100_000
"""Of one file: whoever wants more asks for it in parts."""


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, ours: Sequence[str] = ()) -> bytes:
    """The content of a file of these rows, in UTF-8. `ours` names the columns that nobody else writes in."""
    are_ours = [column in ours for column in columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    # Column by column: most of the time went into asking of each cell what its column knows.
    by_column = list(zip(*rows, strict=True)) or [()] * len(columns)
    kept = [cells if is_ours else harmless_column(cells) for cells, is_ours in zip(by_column, are_ours, strict=True)]
    writer.writerows(zip(*kept, strict=True))
    return text.getvalue().encode()


def harmless_column(cells: Sequence[Cell]) -> Sequence[Cell]:
    """The cells of a column. The same text stands in it again and again."""
    known = {cell: harmless(cell) for cell in set(cells)}
    return [known[cell] for cell in cells]


def harmless(cell: Cell) -> Cell:
    """The cell, with an apostrophe where a spreadsheet would take it for a formula."""
    if not isinstance(cell, str) or cell[:1].isalnum():
        # Most begin with a letter or a digit, as no formula does.
        return cell
    if cell.lstrip(" \u00a0\ufeff").startswith(FORMULA):
        return f"'{cell}"
    return cell
