"""Accounts as operators see them: who there is, who waits for API access, and help for who can't come in any more."""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.people import operator_accounts, operators, second_factors, teams
from forebay.domain.people.operators import User
from forebay.web.frame import Page
from forebay.web.members import page_of
from forebay.web.operator import LIMIT, Act, Desk, Question, known, one_of
from forebay.web.visits import Visit

STATES = {"": "All accounts", "requested": "Waiting for API access", "approved": "Approved", "refused": "Refused"}
ONE = "/accounts/{user_id}"


class AccountsOfPlatformPages:
    """The pages of one server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        return [
            self.desk.page("GET", "/accounts", self.show_all),
            self.desk.page("GET", ONE, self.show),
            *self.desk.acts(
                Act(path=f"{ONE}/approve", ask=self.ask_approve, do=self.approve, needs_reason=False),
                Act(path=f"{ONE}/refuse", ask=self.ask_refuse, do=self.refuse),
                Act(path=f"{ONE}/end-sessions", ask=self.ask_sessions, do=self.end_sessions),
                Act(path=f"{ONE}/remove-second-factor", ask=self.ask_factor, do=self.remove_factor),
            ),
        ]

    def show_all(self, visit: Visit) -> Page:
        """A page of them, all or by where they stand on the whitelist."""
        search, state, number = visit.query.get("search", "")[:320], visit.query.get("status", ""), page_of(visit)
        state = one_of(state, list(STATES))

        def values(connection: Connection) -> dict[str, Any]:
            found, total = operators.listed(
                connection, search=search.strip() or None, api_access=state or None, page=number, limit=LIMIT
            )
            _, waiting = operators.listed(connection, search=None, api_access="requested", page=1, limit=1)
            return {
                "accounts": found, "total": total, "waiting": waiting, "page": number, "states": STATES,
                "given": {name: text for name, text in (("search", search), ("status", state)) if text},
            }  # fmt: skip

        return self.desk.look(visit, "accounts", "operator_accounts.html", values)

    def show(self, visit: Visit) -> Page:
        """One account, and what can be done for it."""

        def values(connection: Connection) -> dict[str, Any]:
            found = self.find(connection, visit)
            return {
                "account": found,
                "belongs": teams.of_user(connection, found.id),
                "has_totp": second_factors.has_totp(connection, found.id),
            }

        user_id = known(visit, "user_id", "Account")
        return self.desk.look(visit, "account", "operator_account.html", values, object_id=user_id)

    def find(self, connection: Connection, visit: Visit) -> User:
        """The account of the address. Raises NotFound."""
        return operators.find(connection, known(visit, "user_id", "Account"))

    def question(
        self, connection: Connection, visit: Visit, title: str, says: str, verb: str, *, is_destructive: bool = True
    ) -> Question:
        """A question about an account."""
        account = self.find(connection, visit)
        return Question(
            title=title.format(account.name),
            says=f"{account.name}, {account.email}. {says}",
            verb=verb,
            back=f"/operator/accounts/{account.id}",
            back_name=account.name,
            kind="account",
            object_id=account.id,
            is_destructive=is_destructive,
        )

    def ask_approve(self, connection: Connection, visit: Visit) -> Question:
        """Keys for programs, from now on."""
        says = "They are told by mail, and can make API keys. Keys that were suspended work again."
        return self.question(connection, visit, "Approve API access of {}?", says, "Approve", is_destructive=False)

    def approve(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Approve it."""
        return self.decide(connection, visit, "approved", reason)

    def ask_refuse(self, connection: Connection, visit: Visit) -> Question:
        """No keys, or none any more."""
        says = (
            "They are told by mail, with the reason. Keys that they have are suspended; they can ask again after a day."
        )
        return self.question(connection, visit, "Refuse API access of {}?", says, "Refuse")

    def refuse(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Refuse it."""
        return self.decide(connection, visit, "refused", reason)

    def decide(self, connection: Connection, visit: Visit, state: str, reason: str) -> str:
        """Either of them."""
        user_id = known(visit, "user_id", "Account")
        operators.decide_api_access(connection, visit.person, user_id, state, reason=reason, now=visit.now)
        return f"API access is {state}."

    def ask_sessions(self, connection: Connection, visit: Visit) -> Question:
        """Out, everywhere."""
        says = "All their sessions end at once, also the command line's. Keys go on. They are told by mail."
        return self.question(connection, visit, "End the sessions of {}?", says, "End them")

    def end_sessions(self, connection: Connection, visit: Visit, reason: str) -> str:
        """End them."""
        user_id = known(visit, "user_id", "Account")
        ended = operator_accounts.end_sessions(connection, visit.person, user_id, reason, now=visit.now)
        return f"{ended} session{'' if ended == 1 else 's'} ended."

    def ask_factor(self, connection: Connection, visit: Visit) -> Question:
        """For who has lost it."""
        says = (
            "Make sure first that it is they who ask. Their authenticator app and its recovery codes are taken off, "
            "all their sessions end, and they are told by mail."
        )
        return self.question(connection, visit, "Take the second factor off {}?", says, "Take it off")

    def remove_factor(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Take it off."""
        user_id = known(visit, "user_id", "Account")
        operator_accounts.remove_second_factor(connection, visit.person, user_id, reason, now=visit.now)
        return "The second factor is taken off."
