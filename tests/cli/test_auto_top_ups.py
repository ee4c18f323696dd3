"""Auto top-up on the command line."""

from forebay.domain.money import auto_top_up_terms, cards
from forebay.domain.money.auto_top_up_terms import Terms
from forebay.domain.people.access import Caller, TeamContext
from forebay.domain.people.roles import MemberMode, Role
from tests.api.cloud import DOLLAR, Cloud, Person
from tests.cli.conftest import Run


def turn_on(cloud: Cloud, pat: Person) -> None:
    """As if the owner had: this cloud takes no cards any more."""
    facts = cards.Facts(
        payment_method_id=f"pm_{pat.team}", brand="visa", last_four="4242", expiry_month=12, expiry_year=2034
    )
    caller = Caller(
        user_id=pat.id, email=pat.email, name="Pat", is_operator=False, api_access="none", current_team_id=None
    )
    context = TeamContext(
        caller=caller,
        team_id=pat.team,
        team_name="Heron",
        slug="",
        number=1,
        role=Role.owner,
        member_mode=MemberMode.deploy_only,
        is_frozen=False,
    )
    terms = Terms(threshold_micros=20 * DOLLAR, amount_micros=50 * DOLLAR, max_charge_micros=100 * DOLLAR)
    with cloud.database.begin() as connection:
        cards.add(connection, pat.team, facts, created_by=None, now=cloud.clock.now())
        auto_top_up_terms.put(connection, context, terms, is_agreed=True, now=cloud.clock.now())


def test_how_it_stands_is_shown_and_it_is_turned_off(cloud: Cloud, run: Run) -> None:
    pat = cloud.person("Pat", credits_micros=30 * DOLLAR)
    assert "Auto top-up is off." in run("auto-top-up", "show", token=pat.session).out
    assert run("auto-top-up", "try-again", token=pat.session).status == 1
    turn_on(cloud, pat)
    shown = run("auto-top-up", "show", token=pat.session)
    for words in ("charges once the balance is below $20.00", "$50.00", "at most $100.00", "no ceiling", "$28800.00"):
        assert words in shown.out, shown
    assert run("auto-top-up", "show", "--json", token=pat.session).json["autoTopUp"]["state"] == "enough"
    assert run("auto-top-up", "try-again", "--json", token=pat.session).json["isOn"] is True
    assert run("auto-top-up", "off", token=pat.session).out == "Auto top-up is off.\n"
    assert run("auto-top-up", "show", "--json", token=pat.session).json["autoTopUp"]["isOn"] is False


def test_a_key_without_money_and_amounts_that_are_none_are_refused(cloud: Cloud, run: Run) -> None:
    pat = cloud.person("Pat")
    assert run("auto-top-up", "show", token=pat.key).status == 4
    refused = run("auto-top-up", "set", "twenty", "50", token=pat.session)
    assert (refused.status, "no amount" in refused.err) == (2, True)
    refused = run("auto-top-up", "set", "$20", "50", token=pat.session)
    assert (refused.status, "Cards are not set up" in refused.err) == (1, True)
