"""The activity on pages: in the words of the domain, and with a way to what it was done to."""

from urllib.parse import quote

from forebay.domain.people.activity_log import Row
from forebay.domain.people.activity_words import about, sentence

__all__ = ["about", "place", "sentence"]

PLACES = {"deployment": "deployments"}
"""Under which page the objects of activity are found."""


def place(row: Row) -> str:
    """The page of what it was done to, behind the team's address; empty if it has none."""
    folder = PLACES.get(row.object_type or "")
    return f"/{folder}/{quote(row.object_id)}" if folder and row.object_id else ""
