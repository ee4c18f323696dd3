"""docs/cli.md names every command over the client, every variable and every status, and none that there isn't."""

import re
from pathlib import Path
from typing import Any

import typer

from forebay.cli import app, ending
from forebay.settings import CLIENT_VARIABLES

PAGE = (Path(__file__).parent.parent.parent / "docs" / "cli.md").read_text()
NOUNS = ("teams", "members", "invitations", "api-keys", "ssh-keys")


def test_the_page_names_every_command_of_every_noun() -> None:
    tree: Any = typer.main.get_command(app)
    for noun in NOUNS:
        [row] = re.findall(rf"^\| `forebay {noun}` \| (.*) \|$", PAGE, re.M)
        named = {word.split()[0] for word in re.findall("`([a-z][^`]*)`", row)}
        assert named == set(tree.commands[noun].commands), noun
    for alone in ("activity", "balance", "usage", "transactions", "statement", "move-credits", "start-again"):
        [row] = re.findall(rf"^\| `forebay {alone}` \| (.*) \|$", PAGE, re.M)
        options = {option for parameter in tree.commands[alone].params for option in parameter.opts}
        assert set(re.findall("--[a-z-]+", row)) <= options


def test_the_page_names_every_variable_and_every_status() -> None:
    assert set(re.findall("FOREBAY_[A-Z]+", PAGE)) == CLIENT_VARIABLES
    statuses = {ending.REFUSED, ending.USAGE, ending.NOT_SIGNED_IN, ending.NOT_FOUND, ending.NO_ANSWER}
    table = PAGE.partition("## Exit status")[2].partition("## From Python")[0]
    assert {int(status) for status in re.findall(r"^\| (\d) \|", table, re.M)} == {0, *statuses}
