"""`forebay login`, `logout` and `whoami`: a session of its own for the command line, approved in the browser."""

import os
import platform
import sys
import time
from typing import Annotated

import typer

from forebay.cli import credentials
from forebay.cli.ending import NOT_SIGNED_IN, end
from forebay.cli.here import Here, command, visible


def add_to(app: typer.Typer) -> None:
    """Put them beside the other commands."""
    command(app, "login")(login)
    command(app, "logout")(logout)
    command(app, "whoami")(who_am_i)


def login(
    here: Here,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address to open.")] = False,
    with_token: Annotated[
        bool, typer.Option("--with-token", help="Read an API key or a session's token from standard input instead.")
    ] = False,
) -> None:
    """Sign in through the browser: open the address, compare the code, approve."""
    from forebay.client import me

    expires_at = None
    if with_token:
        token = sys.stdin.readline().strip()
        if not token:
            end("There was no token on standard input.", NOT_SIGNED_IN)
    else:
        token, expires_at = through_browser(here, no_browser)
    with here.connect(token) as client:
        reply = client.exchange(me.show())
    credentials.keep(here.server, token, email=reply.answer.email, expires_at=expires_at)
    here.say(reply, f"You are signed in at {here.server} as {reply.answer.email}.")
    if "FOREBAY_TOKEN" in os.environ:
        print("FOREBAY_TOKEN is set, and goes before this sign-in.", file=sys.stderr)


def through_browser(here: Here, no_browser: bool) -> tuple[str, str | None]:
    """A token and its end, once the person has approved. Ends the program if they don't."""
    from forebay.client import sign_in

    with here.connect(None) as client:
        begun = client.ask(sign_in.through_browser(f"forebay on {platform.node() or 'a machine'}"[:120]))
        print(f"Open   {visible(begun.verify_url)}", file=sys.stderr)
        print(f"Code   {visible(begun.user_code)}", file=sys.stderr, flush=True)
        if not no_browser and begun.verify_url.startswith(("http://", "https://")):
            import webbrowser

            webbrowser.open(begun.verify_url)
        until = time.monotonic() + begun.expires_in
        while time.monotonic() < until:
            outcome = client.ask(sign_in.finish(begun.device_token))
            if outcome.token is not None:
                return outcome.token, outcome.expires_at
            time.sleep(begun.interval)
    end("Nobody approved in time. Run: forebay login", NOT_SIGNED_IN)


def logout(here: Here) -> None:
    """End the session of the command line, and forget it."""
    from forebay.client import NotAllowed, NotSignedIn, sign_in

    token = credentials.token(here.server)
    if token is None:
        end(f"You are not signed in at {here.server}.", NOT_SIGNED_IN)
    try:
        with here.connect(token) as client:
            reply = client.exchange(sign_in.out())
    except (NotSignedIn, NotAllowed):
        # It has ended already, or is an API key, which is not ended by being forgotten.
        credentials.forget(here.server)
        print(f"{here.server} is forgotten." if not here.as_json else '{"message":"Forgotten."}')
        return
    credentials.forget(here.server)
    here.say(reply, f"You are signed out at {here.server}.")


def who_am_i(here: Here) -> None:
    """Say as whom the commands act, where, and in which team."""
    from forebay.client import me

    reply = here.exchange(me.show())
    found = reply.answer
    team = next((team for team in here.teams if team.id == found.current_team_id), None) if not here.as_json else None
    here.facts(
        reply,
        {
            "Name": found.name,
            "Address": found.email,
            "Server": here.server,
            "Current team": None if team is None else f"{team.name} ({team.slug}), {team.role}",
            "API access": found.api_access,
            "Operator": "yes" if found.is_operator else "no",
        },
    )
