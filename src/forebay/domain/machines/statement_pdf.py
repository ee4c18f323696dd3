"""A statement as a PDF document: what a bookkeeper files.

The same figures give the same bytes, whenever they are asked for: the document is dated by its month, not by the day it
was made. Letters are Open Sans, which has Latin, Greek and Cyrillic; what it has no letter for, in names and reasons,
stands as �, and the ids beside the names say what is meant.
"""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from forebay.domain.machines.statements import Statement
from forebay.domain.money.amounts import in_dollars

if TYPE_CHECKING:
    from fpdf import FPDF

FONT = "Open Sans"
UNKNOWN = "\ufffd"
FIGURES = ("US dollars", "Amount", "Balance")
MOST_ROWS = 1000
"""Of one table: more is no reading matter."""
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


class Company(msgspec.Struct, frozen=True):
    """Who sells the credits."""

    name: str
    vat_number: str


def document(statement: Statement, company: Company, *, is_compressed: bool = True) -> bytes:
    """The document."""
    pdf = new_document(statement, company)
    pdf.set_compression(is_compressed)
    heading(pdf, statement, company)
    summary = [("Opening balance", statement.opening_micros)]
    summary += [(each.words, each.amount_micros) for each in statement.sums]
    summary += [("Closing balance", statement.closing_micros)]
    table(pdf, ("Summary", "US dollars"), (4, 1), [(words, in_dollars(micros)) for words, micros in summary])
    if statement.transactions:
        table(
            pdf,
            ("Date", "Transaction", "Reason", "Amount", "Balance"),
            (1, 1.6, 2.2, 1.1, 1.1),
            [
                (
                    each.created_at.strftime("%Y-%m-%d"),
                    each.words,
                    each.reason,
                    in_dollars(each.amount_micros),
                    in_dollars(each.balance_after_micros),
                )
                for each in statement.transactions
            ],
        )
    if statement.spent:
        table(
            pdf,
            ("Use charged in this month", "Id", "", "Amount"),
            (2.6, 2.2, 0.9, 1.3),
            [
                (
                    each.name or "volume",
                    each.resource_id,
                    "machine" if each.resource_type == "compute" else "disk",
                    in_dollars(each.amount_micros),
                )
                for each in statement.spent
            ],
        )
    return bytes(pdf.output())


def new_document(statement: Statement, company: Company) -> "FPDF":
    """An empty document with its fonts, its date, and the number of each page at its foot."""
    from fpdf import FPDF

    class Document(FPDF):
        """A page has a foot."""

        def footer(self) -> None:
            """The team and the page."""
            self.set_y(-15)
            self.set_font(FONT, size=8)
            self.cell(0, 10, f"{statement.team_id} · {statement.month} · page {self.page_no()} of {{nb}}", align="R")

    pdf = Document(format="A4")
    pdf.set_creation_date(statement.month.to_at)
    pdf.set_title(f"Statement {statement.month}")
    pdf.set_author(known(company.name or "Forebay"))
    pdf.set_auto_page_break(True, margin=20)
    pdf.add_font(FONT, fname=fonts() / "OpenSans-Regular.ttf")
    pdf.add_font(FONT, style="B", fname=fonts() / "OpenSans-SemiBold.ttf")
    pdf.add_page()
    return pdf


def heading(pdf: "FPDF", statement: Statement, company: Company) -> None:
    """Who states what to whom, and for which time."""
    month = statement.month
    lines = [company.name or "Forebay"]
    if company.vat_number:
        lines.append(f"VAT number {company.vat_number}")
    pdf.set_font(FONT, size=9)
    for line in lines:
        write_line(pdf, line)
    pdf.ln(6)
    pdf.set_font(FONT, style="B", size=18)
    write_line(pdf, f"Statement, {MONTHS[month.number - 1]} {month.year}", height=10)
    pdf.set_font(FONT, size=11)
    write_line(pdf, f"{statement.team_name} ({statement.team_id})")
    until = (
        "up to now: the month is not over yet" if not statement.is_complete else f"to {day(month.to_at)}, not included"
    )
    write_line(pdf, f"From {day(month.from_at)} {until}, in UTC. 1 credit is 1 US dollar.")
    pdf.ln(6)


def write_line(pdf: "FPDF", text: str, height: float = 6) -> None:
    """A line of text, or more where it is long."""
    pdf.multi_cell(0, height, known(text), align="L", new_x="LMARGIN", new_y="NEXT")


def table(pdf: "FPDF", names: Sequence[str], widths: Sequence[float], rows: Sequence[Sequence[str]]) -> None:
    """A table of one line a row, its names on each page; columns of figures are flush right.

    Drawn cell by cell: the library's own tables take a second for a few hundred rows.
    """
    unit = pdf.epw / sum(widths)
    aligned = ["R" if name in FIGURES else "L" for name in names]

    def line(cells: Sequence[str], style: Literal["", "B"]) -> None:
        """One row, on the next page if this one is full."""
        pdf.set_font(FONT, style=style, size=9)
        for cell, width, align in zip(cells, widths, aligned, strict=True):
            pdf.cell(width * unit, 5.5, fitting(pdf, known(cell), width * unit - 2.5), border="B", align=align)
        pdf.ln()

    line(names, "B")
    for cells in rows[:MOST_ROWS]:
        if pdf.will_page_break(5.5):
            pdf.add_page()
            line(names, "B")
        line(cells, "")
    if len(rows) > MOST_ROWS:
        write_line(pdf, f"and {len(rows) - MOST_ROWS:,} more, in the CSV files of the API; the summary has them all")
    pdf.ln(6)


def fitting(pdf: "FPDF", text: str, width: float) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis."""
    if pdf.get_string_width(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if pdf.get_string_width(text[:middle] + "…") <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low] + "…"


def day(moment: datetime) -> str:
    """A day, for a sentence."""
    return f"{moment.day} {MONTHS[moment.month - 1]} {moment.year}"


def known(text: str) -> str:
    """The text with what the font has no letter for as �, and on one line."""
    composed = unicodedata.normalize("NFC", " ".join(text.split()))
    return "".join(letter if ord(letter) in letters() else UNKNOWN for letter in composed)


@cache
def letters() -> frozenset[int]:
    """The characters that both weights of the font have."""
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]

    found = [set(TTFont(fonts() / name).getBestCmap()) for name in ("OpenSans-Regular.ttf", "OpenSans-SemiBold.ttf")]
    return frozenset(set.intersection(*found))


@cache
def fonts() -> Path:
    """Where the package has put the font's files. It is found, not imported: all that is wanted are the files."""
    spec = find_spec("ttf_opensans")
    assert spec is not None, "the package ttf-opensans is a dependency"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "ttf"
