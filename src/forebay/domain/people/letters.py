"""What a mail says, written once and read twice: as plain text, and as HTML that looks well in a mail program.

The HTML has tables and inline styles because mail programs know little else; nothing in it comes from elsewhere, and
all that people have written is escaped. A link stands in it in full as well, so that one sees where it leads.
"""

import re
import unicodedata
from collections.abc import Sequence
from html import escape

import msgspec

FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
PARAGRAPH = f"margin:0 0 16px;{FONT};font-size:16px;line-height:24px;color:#1c2530"
QUIET = f"margin:0 0 8px;{FONT};font-size:13px;line-height:20px;color:#5a6675"
BUTTON = (
    f"display:inline-block;padding:12px 20px;{FONT};font-size:16px;line-height:20px;font-weight:600;"
    "color:#ffffff;background:#0b5cad;border-radius:6px;text-decoration:none"
)


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A mail to one person."""

    subject: str
    name: str
    """Of the person; empty if it isn't known."""
    paragraphs: Sequence[str]
    label: str = ""
    """What the button says."""
    link: str = ""
    after: Sequence[str] = ()
    """Small print below the button: how long the link is good, what to do if one did not ask for it."""

    def text(self) -> str:
        """As plain text."""
        parts = [self.greeting(), *self.paragraphs]
        if self.link:
            parts.append(f"{self.label}:\n{self.link}")
        return "\n\n".join([*parts, *self.after]) + "\n"

    def html(self) -> str:
        """As an HTML document."""
        rows = [paragraph(part, PARAGRAPH) for part in (self.greeting(), *self.paragraphs)]
        if self.link:
            url = escape(self.link, quote=True)
            rows.append(f'<p style="margin:24px 0"><a href="{url}" style="{BUTTON}">{escape(self.label)}</a></p>')
            rows.append(paragraph("The link, in case the button doesn't work:", QUIET))
            rows.append(f'<p style="{QUIET};word-break:break-all"><a href="{url}" style="color:#0b5cad">{url}</a></p>')
        rows += [paragraph(part, QUIET) for part in self.after]
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light"><meta name="referrer" content="no-referrer">'
            f"<title>{escape(self.subject)}</title></head>"
            '<body style="margin:0;padding:0;background:#f2f4f7">'
            '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">'
            '<tr><td align="center" style="padding:32px 16px">'
            '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" '
            'style="max-width:560px;background:#ffffff;border-radius:8px"><tr><td style="padding:32px">'
            f'<p style="{QUIET};font-weight:600;letter-spacing:.04em">FOREBAY</p>'
            f"{''.join(rows)}</td></tr></table></td></tr></table></body></html>\n"
        )

    def greeting(self) -> str:
        """How the mail begins."""
        return f"Hello {self.name}," if self.name else "Hello,"


def paragraph(text: str, style: str) -> str:
    """One paragraph, with the line breaks it has."""
    return f'<p style="{style}">{escape(text).replace(chr(10), "<br>")}</p>'


def plain(name: str) -> str:
    """What people call themselves or a team, as it may stand in a mail to somebody else: one line that is no link.

    Mail programs make links of whatever looks like one; a full stop within a word becomes one that only looks so.
    """
    kept = "".join(letter for letter in name if unicodedata.category(letter) not in ("Cc", "Cf", "Cs"))
    return re.sub(r"(?<=\w)\.(?=\w)", "\u2024", " ".join(kept.split()).replace("://", " "))[:120]
