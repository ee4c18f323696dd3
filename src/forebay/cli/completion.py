"""What the shell completes: names that the server knows. Quick, and silent: without an answer nothing is completed."""

from collections.abc import Callable, Iterable
from typing import Any

import typer

SECONDS = 2.0
Found = Iterable[tuple[str, str]]


def asked(context: typer.Context, find: Callable[[Any], Found], incomplete: str) -> list[tuple[str, str]]:
    """What `find` finds that goes on like this, each with a word about it."""
    from forebay.cli.here import Here

    given = context.params
    try:
        with Here(given.get("server_"), given.get("team_")) as here:
            if here.token is None:
                return []
            here.patience = SECONDS
            return [one for one in find(here) if one[0].lower().startswith(incomplete.lower())]
    except (Exception, SystemExit):
        return []


def team_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Slugs of my teams."""
    return asked(context, lambda here: [(team.slug, team.name) for team in here.teams], incomplete)


def deployment_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names of the team's machines."""
    from forebay.client import deployments

    def find(here: Any) -> Found:
        found = here.ask(deployments.listed(team_id=here.team().id, status="active"))
        return [(one.name, one.status) for one in found]

    return asked(context, find, incomplete)


def offer_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of offers."""
    from forebay.client import offers

    def find(here: Any) -> Found:
        page = here.ask(offers.listed(limit=100))
        return [(offer.offer_id, group.display_name) for group in page.data for offer in group.offers]

    return asked(context, find, incomplete)


def card_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Last digits of the team's cards."""
    from forebay.client import cards

    def find(here: Any) -> Found:
        return [(card.last_four, card.brand) for card in here.ask(cards.listed(here.team().id)).cards]

    return asked(context, find, incomplete)


def volume_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names of the team's volumes."""
    from forebay.client import volumes

    def find(here: Any) -> Found:
        page = here.ask(volumes.listed(team_id=here.team().id, limit=100))
        return [(volume.name, volume.status) for volume in page.volumes]

    return asked(context, find, incomplete)


def template_names(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names of the team's templates."""
    from forebay.client import launch_templates

    def find(here: Any) -> Found:
        found = here.ask(launch_templates.listed(here.team().id)).templates
        return [(one.name, one.offer_id) for one in found]

    return asked(context, find, incomplete)
