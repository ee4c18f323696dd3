"""Accounts, sessions and keys, on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from forebay.domain.people import access, accounts, api_keys, credentials, mails, sessions, teams
from forebay.domain.people.access import Credential, Target, enter
from forebay.domain.people.roles import MemberMode, Permission, Role
from forebay.errors import BadRequest, Forbidden, NotFound, Unauthenticated
from forebay.storage.database import Database
from forebay.storage.tables import memberships, users

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = b"k" * 64


def make(connection: sa.Connection, local: str = "ann", **more: bool) -> tuple[accounts.Account, str]:
    return accounts.create(connection, email=f"{local}@x.test", name=local.title(), password_hash="h", now=NOW, **more)


def come_in(
    connection: sa.Connection, secret: str, target: Target = Target.current, wanted: str | None = None, **when: datetime
) -> Any:
    credential = Credential(credentials.hash_token(secret, KEY), secret.startswith("fby_pk_"), "10.0.0.1")
    return enter(connection, credential, target, wanted, now=when.get("now", NOW))


def test_an_account_has_a_team_of_its_own_and_owns_it(database: Database) -> None:
    with database.begin() as connection:
        account, team_id = make(connection)
        (team,) = teams.of_user(connection, account.id)
    assert (team.id, team.role, team.slug, account.current_team_id) == (team_id, Role.owner, "ann", team_id)


def test_team_numbers_are_given_once_and_slugs_never_clash(database: Database) -> None:
    with database.begin() as connection:
        owner, _ = make(connection)
        made = [teams.create(connection, name="Vision Lab", owner_id=owner.id, now=NOW) for _ in range(3)]
        found = {team.id: team for team in teams.of_user(connection, owner.id)}
        numbers = [row.number for row in connection.execute(sa.text("SELECT number FROM teams"))]
    assert sorted(numbers) == [1, 2, 3, 4]
    assert len({found[team_id].slug for team_id in made}) == 3


def test_an_address_is_proved_once_within_a_day(database: Database) -> None:
    with database.begin() as connection:
        account, _ = make(connection)
        token = accounts.new_verification(connection, account, KEY, now=NOW)
        with pytest.raises(BadRequest):
            accounts.verify(connection, token, KEY, now=NOW + timedelta(hours=25))
        assert accounts.verify(connection, token, KEY, now=NOW + timedelta(hours=1)).verified_at == NOW + timedelta(
            hours=1
        )
        with pytest.raises(BadRequest):
            accounts.verify(connection, token, KEY, now=NOW + timedelta(hours=1))


def test_signing_up_again_kills_the_links_of_before(database: Database) -> None:
    with database.begin() as connection:
        account, _ = make(connection)
        token = accounts.new_verification(connection, account, KEY, now=NOW)
        accounts.replace_unverified(connection, account, name="Other", password_hash="other")
        with pytest.raises(BadRequest):
            accounts.verify(connection, token, KEY, now=NOW)
        changed = accounts.by_email(connection, " ANN@x.test ")
    assert changed is not None
    assert (changed.name, changed.password_hash) == ("Other", "other")


@pytest.mark.parametrize(
    "email", ["", "ann", "ann@", "@x.test", "a b@x.test", "ann@x.test\nBcc: b@x.test", "a" * 70 + "@x.test"]
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(BadRequest):
        accounts.check_email(email)


def test_a_key_enters_with_the_role_held_at_that_moment(database: Database) -> None:
    with database.begin() as connection:
        owner, team_id = make(connection)
        member, own_id = make(connection, "mia")
        teams.add_member(connection, team_id, member.id, Role.member, now=NOW)
        secret, _ = api_keys.create(
            connection, user_id=member.id, name="k", prefix="fby_pk_", secret_key=KEY, current_team_id=own_id, now=NOW
        )
        _, team = come_in(connection, secret, Target.team, team_id)
        assert team.role is Role.member
        assert team.member_mode is MemberMode.deploy_only
        team.demand(Permission.launch)
        team.demand(Permission.operate, created_by=member.id)
        with pytest.raises(Forbidden) as refused:
            team.demand(Permission.operate, created_by=owner.id)
        assert refused.value.details["permission"] == "deployments.operate"
        connection.execute(
            sa.delete(memberships).where(memberships.c.team_id == team_id, memberships.c.user_id == member.id)
        )
        with pytest.raises(NotFound):
            come_in(connection, secret, Target.team, team_id)


def test_a_key_that_ended_stays_ended_even_if_the_clock_goes_back(database: Database) -> None:
    with database.begin() as connection:
        account, team_id = make(connection)
        create = {"user_id": account.id, "prefix": "fby_pk_", "secret_key": KEY, "current_team_id": team_id, "now": NOW}
        revoked, key = api_keys.create(connection, name="revoked", **create)  # type: ignore[arg-type]
        expiring, _ = api_keys.create(connection, name="expiring", expires_at=NOW + timedelta(days=1), **create)  # type: ignore[arg-type]
        api_keys.revoke(connection, account.id, key.id, now=NOW)
        for when in (NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)):
            with pytest.raises(Unauthenticated):
                come_in(connection, revoked, now=when)
        come_in(connection, expiring, now=NOW + timedelta(hours=23))
        with pytest.raises(Unauthenticated):
            come_in(connection, expiring, now=NOW + timedelta(days=1))
        with pytest.raises(NotFound):
            api_keys.revoke(connection, account.id, key.id, now=NOW)


def test_a_narrowed_key_is_a_stranger_elsewhere_and_may_less(database: Database) -> None:
    with database.begin() as connection:
        account, team_id = make(connection)
        other_id = teams.create(connection, name="Other", owner_id=account.id, now=NOW)
        secret, _ = api_keys.create(
            connection,
            user_id=account.id,
            name="k",
            prefix="fby_pk_",
            secret_key=KEY,
            current_team_id=team_id,
            now=NOW,
            team_ids=[team_id],
            permissions=[Permission.see],
        )
        _, team = come_in(connection, secret)
        with pytest.raises(Forbidden):
            team.demand(Permission.launch)
        with pytest.raises(NotFound):
            come_in(connection, secret, Target.team, other_id)


def test_a_key_never_touches_members_and_money_only_if_made_so(database: Database) -> None:
    with database.begin() as connection:
        account, team_id = make(connection)
        for may_touch_money in (False, True):
            secret, _ = api_keys.create(
                connection,
                user_id=account.id,
                name="k",
                prefix="fby_pk_",
                secret_key=KEY,
                current_team_id=team_id,
                now=NOW,
                may_touch_money=may_touch_money,
            )
            _, team = come_in(connection, secret)
            assert (team.reach(Permission.manage_billing) is not None) is may_touch_money
            assert team.reach(Permission.manage_members) is None


def test_without_a_usable_current_team_one_must_be_named(database: Database) -> None:
    with database.begin() as connection:
        account, team_id = make(connection)
        secret, _ = api_keys.create(
            connection, user_id=account.id, name="k", prefix="fby_pk_", secret_key=KEY, current_team_id=team_id, now=NOW
        )
        connection.execute(sa.delete(memberships).where(memberships.c.team_id == team_id))
        with pytest.raises(BadRequest) as refused:
            come_in(connection, secret)
    assert refused.value.code == "TEAM_REQUIRED"


def test_a_session_ends_by_itself_and_by_its_owner(database: Database) -> None:
    with database.begin() as connection:
        account, _ = make(connection)
        token, session = sessions.begin(
            connection, account.id, KEY, now=NOW, days=14, address="10.0.0.1", user_agent="x" * 999
        )
        come_in(connection, token)
        with pytest.raises(Unauthenticated):
            come_in(connection, token, now=NOW + timedelta(days=14))
        sessions.end(connection, account.id, session.id, now=NOW)
        with pytest.raises(Unauthenticated):
            come_in(connection, token)
        assert sessions.of_user(connection, account.id, now=NOW) == []


def test_every_door_opens_on_this_database(database: Database) -> None:
    with database.begin() as connection:
        account, team_id = make(connection)
        token, _ = sessions.begin(connection, account.id, KEY, now=NOW, days=1, address="", user_agent="")
        secret, _ = api_keys.create(
            connection, user_id=account.id, name="k", prefix="fby_pk_", secret_key=KEY, current_team_id=team_id, now=NOW
        )
        for target in access.Target:
            for given in (token, secret):
                if target in (Target.deployment, Target.ssh_key, Target.volume):
                    with pytest.raises(NotFound):
                        come_in(connection, given, target, "0" * 24)
                else:
                    wanted = teams.of_user(connection, account.id)[0].slug if target is Target.slug else team_id
                    caller, _ = come_in(connection, given, target, wanted)
                    assert caller.user_id == account.id


def test_mail_is_taken_once_blanked_when_sent_and_tried_again_later(database: Database) -> None:
    with database.begin() as connection:
        mails.queue(connection, recipient="a@x.test", subject="s", text="https://x/verify?token=secret", now=NOW)
    with database.begin() as connection:
        (mail,) = mails.take_due(connection, now=NOW)
        assert mails.take_due(connection, now=NOW) == []
        mails.note_failure(connection, mail, "refused", now=NOW)
        assert mails.take_due(connection, now=NOW + timedelta(seconds=20)) == []
        (again,) = mails.take_due(connection, now=NOW + timedelta(seconds=40))
        mails.note_sent(connection, again.id, now=NOW)
        left = connection.execute(sa.text("SELECT text FROM mails")).scalar()
    assert (again.id, left) == (mail.id, "")


def test_an_invitation_to_sign_up_is_good_for_a_week(database: Database) -> None:
    with database.begin() as connection:
        accounts.invite_to_sign_up(connection, "New@x.test", now=NOW)
        accounts.refuse_uninvited(connection, "new@X.test", now=NOW + timedelta(days=6))
        for email, when in (("new@x.test", NOW + timedelta(days=7)), ("other@x.test", NOW)):
            with pytest.raises(Forbidden):
                accounts.refuse_uninvited(connection, email, now=when)


def test_operators_are_told_apart(database: Database) -> None:
    with database.begin() as connection:
        account, _ = make(connection, is_verified=True)
        make(connection, "mia", is_verified=True)
        accounts.make_operator(connection, account.id)
        assert accounts.operators(connection) == ["ann@x.test"]
        assert connection.execute(sa.select(users.c.is_operator).where(users.c.id == account.id)).scalar() is True
