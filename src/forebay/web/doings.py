"""The activity on pages: in the words of the domain, and with a way to what it was done to."""

from urllib.parse import quote

from forebay.domain.people.activity_log import Row
from forebay.domain.people.activity_words import about, sentence

__all__ = ["about", "place", "sentence"]

NOUNS = {"deployment": "a machine", "volume": "a volume"}
"""What stands in the words for the thing itself."""
PLACES = {"deployment": "deployments"}
"""Under which page the objects of activity are found."""


def told(row: Row) -> tuple[str, str, str]:
    """What was done with the name of the thing in its place, as one says it: "stopped", "trainer", "for lack of
    credits"."""
    words, name = sentence(row), about(row)
    noun = NOUNS.get(row.object_type or "")
    if name and noun and noun in words and ": " not in name:
        before, _, after = words.partition(noun)
        return before.strip(), name, after
    return f"{words}:" if name else words, name, ""


def place(row: Row) -> str:
    """The page of what it was done to, behind the team's address; empty if it has none."""
    folder = PLACES.get(row.object_type or "")
    return f"/{folder}/{quote(row.object_id)}" if folder and row.object_id else ""
