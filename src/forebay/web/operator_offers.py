"""Offers and prices as operators set them, with what was said before, by whom and why.

A field that is empty in the form says nothing: the provider's own counts. What the offers file names is changed there.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from litestar.handlers import HTTPRouteHandler
from sqlalchemy import Connection

from forebay.domain.machines import offer_changes, offer_terms, offers_file, operator_offers, price_changes
from forebay.domain.machines.offer_terms import Terms
from forebay.domain.machines.operator_offers import Seen
from forebay.domain.money.amounts import as_dollars, in_words
from forebay.domain.people import activity_log
from forebay.domain.people.activity_log import Filter
from forebay.errors import BadRequest, NotFound
from forebay.web.frame import Page
from forebay.web.operator import Act, Desk, Field, Question, moment_of
from forebay.web.visits import Visit

ONE = "/offers/{offer_id}"
WORDS: Mapping[str, tuple[str, str]] = {
    "price": ("price", "Price, dollars an hour"),
    "spotPrice": ("spot_price", "Spot price, dollars an hour"),
    "storagePrice": ("storage_price", "Stopped disk, dollars an hour"),
    "priceFrom": ("price_from", "Prices hold from (UTC)"),
    "name": ("name", "Name"),
    "description": ("description", "Description"),
    "region": ("region", "Region"),
    "minimumRuntimeMinutes": ("minimum_runtime_minutes", "Minimum runtime, minutes"),
    "interconnectType": ("interconnect_type", "Interconnect"),
    "interconnectDescription": ("interconnect_description", "Interconnect, in words"),
}
"""What can be said of any offer: by its name on the wire the one in the file, and its label."""
SHAPE: Mapping[str, tuple[str, str]] = {
    "vcpus": ("vcpus", "Virtual CPUs"),
    "memory": ("memory", "Memory, GB"),
    "storage": ("storage", "Disk, GB"),
    "gpuCount": ("gpu_count", "GPUs"),
    "gpuType": ("gpu_type", "Type of GPU"),
}
"""What only an offer of one's own says."""
PLACE: Mapping[str, tuple[str, str]] = {
    "id": ("id", "Id, as in provider-name"),
    "provider": ("provider", "Provider"),
    "pool": ("pool", "Pool"),
}
WIRE = {offers_file.NAMES[in_file]: wire for wire, (in_file, _) in {**WORDS, **SHAPE, **PLACE}.items()}
NEEDED = {"id", "provider", "pool", "name", "price", "vcpus", "memory", "storage"}


class OfferOfPlatformPages:
    """The pages of one server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def handlers(self) -> list[HTTPRouteHandler]:
        """All of them."""
        nudges = ("prices", "mails")
        return [
            self.desk.page("GET", "/offers", self.show_all),
            *self.desk.acts(Act(path="/new-offer", ask=self.ask_create, do=self.create, nudges=nudges)),
            self.desk.page("GET", ONE, self.show),
            *self.desk.acts(
                Act(path=f"{ONE}/change", ask=self.ask_change, do=self.change, nudges=nudges),
                Act(path=f"{ONE}/withdraw", ask=self.ask_withdraw, do=self.withdraw, nudges=nudges),
                Act(path=f"{ONE}/offer-again", ask=self.ask_again, do=self.offer_again, nudges=nudges),
            ),
        ]

    def show_all(self, visit: Visit) -> Page:
        """All of them, and prices that wait for their date."""
        search = visit.query.get("search", "")[:100].strip().lower()

        def values(connection: Connection) -> dict[str, Any]:
            found = operator_offers.listed(connection, now=visit.now)
            shown = [
                each for each in found if search in f"{each.offer.id} {each.offer.name} {each.offer.region}".lower()
            ]
            return {"found": shown, "waiting": price_changes.waiting(connection), "search": search}

        return self.desk.look(visit, "offers", "operator_offers.html", values)

    def show(self, visit: Visit) -> Page:
        """One offer: what holds, what was said, and its prices."""

        def values(connection: Connection) -> dict[str, Any]:
            found = self.find(connection, visit)
            which = Filter(object_type="offer", object_id=found.offer.id[:80], action="offer.")
            rows = activity_log.of_platform(connection, which, limit=50)
            return {
                "found": found,
                "terms": [(each.source, said_in_words(each.terms)) for each in found.said],
                "is_in_file": any(each.source == "file" for each in found.said),
                "changes": [(row, differences_in_words(row.details or {})) for row in rows],
                "price_changes": price_changes.of_offer(connection, found.offer.id, most=50),
            }

        return self.desk.look(
            visit, "offer", "operator_offer.html", values, object_id=visit.parameters["offer_id"][:80]
        )

    def find(self, connection: Connection, visit: Visit) -> Seen:
        """The offer of the address. Raises NotFound."""
        for each in operator_offers.listed(connection, now=visit.now, offer_id=visit.parameters["offer_id"][:100]):
            return each
        raise NotFound("Offer")

    def question(
        self,
        found: Seen,
        title: str,
        says: str,
        verb: str,
        fields: tuple[Field, ...] = (),
        is_destructive: bool = False,
    ) -> Question:
        """A question about an offer."""
        offer = found.offer
        return Question(
            title=title.format(offer.name), says=says, verb=verb, back=f"/operator/offers/{quote(offer.id)}",
            back_name=offer.name, kind="offer", object_id=offer.id[:80], fields=fields, is_destructive=is_destructive,
        )  # fmt: skip

    def ask_change(self, connection: Connection, visit: Visit) -> Question:
        """What the API says of it now, to be changed."""
        found = self.find(connection, visit)
        said = offer_terms.of_offer(connection, found.offer.id).get("api")
        terms = Terms() if said is None else said.terms
        names = {**WORDS, **SHAPE} if terms.is_own else WORDS
        says = (
            "New launches pay a new price at once, or from its date. A cut reaches everybody at that second; a rise "
            "reaches what runs after seven days, of which its teams are told by mail. An empty field says nothing: the "
            "provider's own counts."
        )
        fields = tuple(field_of(wire, in_file, label, terms, found) for wire, (in_file, label) in names.items())
        return self.question(found, "Change {}", says, "Change it", fields)

    def change(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Say something else of it; fields that the form did not hold stay as they are."""
        found = self.find(connection, visit)
        said = read_terms(visit, {**WORDS, **SHAPE})
        self.carry_out(
            lambda: offer_changes.change(connection, visit.person, found.offer.id, said, reason=reason, now=visit.now)
        )
        return "The offer is changed."

    def ask_create(self, connection: Connection, visit: Visit) -> Question:
        """An offer of one's own shape."""
        fields = tuple(
            msgspec.structs.replace(field_of(wire, in_file, label, Terms()), required=wire in NEEDED)
            for wire, (in_file, label) in {**PLACE, **SHAPE, **WORDS}.items()
        )
        says = "The provider launches it in one of its pools. What is left out is as in the other offers of the pool."
        return Question(
            title="Make an offer", says=says, verb="Make it", back="/operator/offers", back_name="Offers",
            kind="offers", fields=fields, is_destructive=False,
        )  # fmt: skip

    def create(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Make it."""
        offer_id = visit.form.get("id", "")[:100].strip()
        if offers_file.ID.fullmatch(offer_id) is None:
            what = {"id": "small letters, digits and hyphens, at most 80 characters"}
            raise BadRequest("The offer's id is not usable.", details=what)
        places = {wire: names for wire, names in PLACE.items() if wire != "id"}
        terms = msgspec.structs.replace(Terms(), **read_terms(visit, {**places, **SHAPE, **WORDS}))
        self.carry_out(
            lambda: offer_changes.create(connection, visit.person, offer_id, terms, reason=reason, now=visit.now)
        )
        return f"The offer {offer_id} is made."

    def ask_withdraw(self, connection: Connection, visit: Visit) -> Question:
        """No launches of it any more."""
        says = "It is offered no longer. What runs, runs on at its price. It can be offered again."
        return self.question(self.find(connection, visit), "Withdraw {}?", says, "Withdraw it", is_destructive=True)

    def withdraw(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Withdraw it."""
        offer_id = self.find(connection, visit).offer.id
        offer_changes.withdraw(connection, visit.person, offer_id, reason=reason, now=visit.now)
        return "The offer is withdrawn."

    def ask_again(self, connection: Connection, visit: Visit) -> Question:
        """Launches again."""
        says = "It can be launched again, if its provider still has it."
        return self.question(self.find(connection, visit), "Offer {} again?", says, "Offer it")

    def offer_again(self, connection: Connection, visit: Visit, reason: str) -> str:
        """Withdrawn no more."""
        offer_id = self.find(connection, visit).offer.id
        said = {"offered": None}
        self.carry_out(
            lambda: offer_changes.change(connection, visit.person, offer_id, said, reason=reason, now=visit.now)
        )
        return "The offer is offered again."

    def carry_out(self, act: Callable[[], None]) -> None:
        """Do it, with the fields of a refusal named as the form has them."""
        try:
            act()
        except BadRequest as error:
            error.details = {WIRE.get(name, name): text for name, text in error.details.items()}
            raise


def field_of(wire: str, in_file: str, label: str, terms: Terms, found: Seen | None = None) -> Field:
    """A field of the form, with what is said now; behind an empty one shows what holds."""
    value = getattr(terms, offers_file.NAMES.get(in_file, in_file), None)
    if in_file in offers_file.DOLLARS and value is not None:
        value = in_words(value)
    elif in_file == "price_from":
        value = f"{value:%Y-%m-%dT%H:%M}" if value is not None else None
    holds = None if found is None else getattr(found.offer, offers_file.NAMES.get(in_file, in_file), None)
    if in_file in offers_file.DOLLARS and holds is not None:
        holds = in_words(holds)
    kind = "number" if in_file in offers_file.NUMBERS else "datetime-local" if in_file == "price_from" else "text"
    hint = "Empty: at once" if in_file == "price_from" else ""
    return Field(
        name=wire,
        label=label,
        kind=kind,
        value="" if value is None else str(value),
        required=False,
        hint=hint,
        placeholder="" if holds is None else str(holds),
    )


def read_terms(visit: Visit, names: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """What the form says, by field of `Terms`, checked as the offers file is; empty: None. Raises BadRequest."""
    said: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for wire, (in_file, _) in names.items():
        if wire not in visit.form:
            continue
        text = visit.form[wire].strip()
        try:
            value: Any = text or None
            if text and in_file == "price_from":
                value = moment_of(visit, wire)
            elif in_file in offers_file.NUMBERS and text.isascii() and text.isdigit() and len(text) < 10:
                value = int(text)
            said[offers_file.NAMES[in_file]] = None if value is None else offers_file.value_of(in_file, value)
        except ValueError as reason:
            wrong[wire] = str(reason)
    if wrong:
        raise BadRequest("The offer can't be as it was asked for.", details=wrong)
    return said


def said_in_words(terms: Terms) -> list[tuple[str, str]]:
    """What is said, by label."""
    return [(label_of(name), shown(name, value)) for name, value in terms.said().items()]


def differences_in_words(details: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """By label what was said before and after."""
    return [
        (label_of(name), shown(name, both[0]), shown(name, both[1]))
        for name, both in details.items()
        if isinstance(both, list) and len(both) == 2
    ]


def label_of(name: str) -> str:
    """A field of `Terms` in words."""
    wire = WIRE.get(name, "")
    found = {**WORDS, **SHAPE, **PLACE}.get(wire)
    return found[1].partition(",")[0] if found else name.replace("_", " ").capitalize()


def shown(name: str, value: Any) -> str:
    """A value for people."""
    if value is None:
        return "–"
    if name.endswith("_micros") and isinstance(value, int):
        return as_dollars(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
