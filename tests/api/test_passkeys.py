"""Passkeys: added, used, refused when anything about them is not as it must be; no answer of a browser breaks us."""

import copy
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from forebay.domain.people import accounts
from forebay.storage.tables import activity, mails, passkeys, sessions, sign_in_steps, users
from tests.api.authenticator import PRESENT, Authenticator, add_passkey, encode
from tests.api.cloud import ABSENT, Cloud
from tests.api.wire import Answer

pytestmark = pytest.mark.slow


def challenge(cloud: Cloud) -> Any:
    return cloud.post("/api/auth/passkey-sign-in/options").ok()


def sign_in(cloud: Cloud, authenticator: Authenticator) -> Answer:
    begun = challenge(cloud)
    body = {"token": begun["token"], "credential": authenticator.get(begun["options"])}
    return cloud.post("/api/auth/passkey-sign-in", body=body)


@pytest.mark.parametrize("is_edwards", [False, True])
def test_a_passkey_signs_in_and_is_two_factors(cloud: Cloud, is_edwards: bool) -> None:
    pat = cloud.person()
    authenticator = Authenticator(is_edwards=is_edwards)
    passkey = add_passkey(cloud, pat, authenticator)
    with cloud.database.begin() as connection:
        connection.execute(sa.update(users).where(users.c.id == pat.id).values(totp_confirmed_at=cloud.clock.now()))
    for _ in range(2):
        found = sign_in(cloud, authenticator).ok()
        assert found["userId"] == pat.id
    with cloud.database.read() as connection:
        row = connection.execute(sa.select(sessions).where(sessions.c.id == found["sessionId"])).one()
        stored = connection.execute(sa.select(passkeys).where(passkeys.c.id == passkey)).one()
        subjects = [mail.subject for mail in connection.execute(sa.select(mails).where(mails.c.recipient == pat.email))]
    assert row.methods == "passkey"
    assert stored.sign_count == authenticator.count == 3
    assert subjects == ["Your passkeys were changed"]
    [listed] = cloud.get("/api/auth/passkeys", pat.session).ok()["passkeys"]
    assert (listed["id"], listed["name"], listed["lastUsedAt"] is None) == (passkey, "A phone", False)


def test_what_the_authenticator_learns_says_nothing_about_the_person(cloud: Cloud) -> None:
    pat = cloud.person()
    options = cloud.post("/api/auth/passkeys/options", cloud.session(pat.id)).ok()["options"]
    assert options["user"]["name"] == pat.email
    assert options["user"]["id"] not in (encode(pat.id.encode()), encode(bytes.fromhex(pat.id)))
    assert options["rp"] == {"name": "Forebay", "id": "forebay.test"}
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["attestation"] == "none"
    asked = challenge(cloud)["options"]
    assert (asked["userVerification"], asked.get("allowCredentials", [])) == ("required", [])


def test_a_challenge_is_good_once_and_for_five_minutes(cloud: Cloud) -> None:
    pat, authenticator = cloud.person(), Authenticator()
    add_passkey(cloud, pat, authenticator)
    begun, late = challenge(cloud), challenge(cloud)
    body = {"token": begun["token"], "credential": authenticator.get(begun["options"])}
    request = cloud.request("POST", "/api/auth/passkey-sign-in", None, body)
    assert sorted(answer.status for answer in cloud.at_once([request] * 4)) == [200, 400, 400, 400]
    cloud.clock.forward(seconds=300)
    body = {"token": late["token"], "credential": authenticator.get(late["options"])}
    cloud.post("/api/auth/passkey-sign-in", body=body).refused(400, "STEP_EXPIRED")


def test_a_wrong_answer_uses_the_challenge_up(cloud: Cloud) -> None:
    pat, authenticator = cloud.person(), Authenticator()
    add_passkey(cloud, pat, authenticator)
    begun = challenge(cloud)
    right = {"token": begun["token"], "credential": authenticator.get(begun["options"])}
    wrong = copy.deepcopy(right)
    wrong["credential"]["response"]["signature"] = encode(b"no")
    cloud.post("/api/auth/passkey-sign-in", body=wrong).refused(401, "WRONG_PASSKEY")
    cloud.post("/api/auth/passkey-sign-in", body=right).refused(400, "STEP_EXPIRED")
    with cloud.database.read() as connection:
        told = connection.execute(
            sa.select(activity).where(activity.c.user_id == pat.id, activity.c.action == "account.sign-in-refused")
        ).all()
    assert len(told) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "https://forebay.test.evil.example"},
        {"origin": "https://forebay.test"},
        {"host": "evil.example"},
        {"flags": PRESENT},
        {"flags": 0},
        {"steps": 0},
        {"steps": -1},
        {"id": b"another"},
        {"handle": b"another"},
        {"handle": b""},
        {"is_edwards": True},
    ],
    ids=str,
)
def test_an_answer_that_cannot_be_believed_is_refused(cloud: Cloud, change: dict[str, Any]) -> None:
    authenticator = Authenticator()
    add_passkey(cloud, cloud.person(), authenticator)
    sign_in(cloud, authenticator).ok()
    for name, value in change.items():
        setattr(authenticator, name, value)
    sign_in(cloud, authenticator).refused(401, "WRONG_PASSKEY")


def test_a_new_passkey_is_looked_at_as_closely(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    session = cloud.session(pat.id)
    for change in ({"origin": "https://evil.example"}, {"host": "evil.example"}, {"flags": PRESENT}):
        begun = cloud.post("/api/auth/passkeys/options", session).ok()
        odd = Authenticator()
        for name, value in change.items():
            setattr(odd, name, value)
        body = {"token": begun["token"], "credential": odd.create(begun["options"])}
        cloud.post("/api/auth/passkeys", session, body).refused(400, "PASSKEY_REFUSED")
    begun = cloud.post("/api/auth/passkeys/options", session).ok()
    body = {"token": begun["token"], "credential": Authenticator().create(begun["options"])}
    cloud.post("/api/auth/passkeys", cloud.session(mia.id), body).refused(400, "PASSKEY_REFUSED")
    known = Authenticator()
    add_passkey(cloud, pat, known)
    begun = cloud.post("/api/auth/passkeys/options", cloud.session(mia.id)).ok()
    body = {"token": begun["token"], "credential": known.create(begun["options"])}
    cloud.post("/api/auth/passkeys", cloud.session(mia.id), body).refused(400, "PASSKEY_REFUSED")


def test_passkeys_are_changed_by_their_owner_under_a_recent_sign_in(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    passkey = add_passkey(cloud, pat)
    old = cloud.session(pat.id)
    path = f"/api/auth/passkeys/{passkey}"
    cloud.send("DELETE", path, cloud.session(mia.id)).refused(404, "NOT_FOUND")
    cloud.send("PATCH", path, cloud.session(mia.id), {"name": "Mine"}).refused(404, "NOT_FOUND")
    cloud.send("PATCH", f"/api/auth/passkeys/{ABSENT}", old, {"name": "x"}).refused(404, "NOT_FOUND")
    assert cloud.send("PATCH", path, old, {"name": " My  phone "}).ok()["name"] == "My phone"
    cloud.clock.forward(minutes=15, seconds=1)
    cloud.send("DELETE", path, old).refused(403, "SIGN_IN_AGAIN")
    cloud.post("/api/auth/passkeys/options", old).refused(403, "SIGN_IN_AGAIN")


def test_the_last_way_in_stays(cloud: Cloud) -> None:
    pat, first, second = cloud.person(), Authenticator(), Authenticator()
    ids = [add_passkey(cloud, pat, first), add_passkey(cloud, pat, second)]
    session = cloud.session(pat.id)
    requests = [cloud.request("DELETE", f"/api/auth/passkeys/{one}", session) for one in ids]
    answers = cloud.at_once(requests)
    assert sorted(answer.status for answer in answers) == [200, 409]
    [left] = cloud.get("/api/auth/passkeys", session).ok()["passkeys"]
    cloud.send("DELETE", f"/api/auth/passkeys/{left['id']}", session).refused(409, "LAST_WAY_IN")
    gone = first if left["id"] == ids[1] else second
    sign_in(cloud, gone).refused(401, "WRONG_PASSKEY")
    with cloud.database.begin() as connection:
        connection.execute(sa.update(users).where(users.c.id == pat.id).values(password_hash="h"))
    cloud.send("DELETE", f"/api/auth/passkeys/{left['id']}", session).ok()


def test_a_passkey_proves_again_who_i_am(cloud: Cloud) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    mine, theirs = Authenticator(), Authenticator()
    add_passkey(cloud, pat, mine)
    add_passkey(cloud, mia, theirs)
    session = cloud.session(pat.id)
    cloud.clock.forward(minutes=16)
    cloud.post("/api/auth/passkeys/options", session).refused(403, "SIGN_IN_AGAIN")
    begun = challenge(cloud)
    body = {"token": begun["token"], "credential": theirs.get(begun["options"])}
    cloud.post("/api/auth/step-up/passkey", session, body).refused(401, "WRONG_PASSKEY")
    begun = challenge(cloud)
    body = {"token": begun["token"], "credential": mine.get(begun["options"])}
    proved = cloud.post("/api/auth/step-up/passkey", session, body).ok()
    cloud.post("/api/auth/passkeys/options", proved["token"]).ok()
    cloud.get("/api/me", session).refused(401, "UNAUTHORIZED")


def test_there_are_twenty_at_most(cloud: Cloud) -> None:
    pat = cloud.person()
    session = cloud.session(pat.id)
    begun = cloud.post("/api/auth/passkeys/options", session).ok()
    for _ in range(20):
        add_passkey(cloud, pat)
    cloud.post("/api/auth/passkeys/options", session).refused(409, "TOO_MANY_PASSKEYS")
    body = {"token": begun["token"], "credential": Authenticator().create(begun["options"])}
    cloud.post("/api/auth/passkeys", session, body).refused(409, "TOO_MANY_PASSKEYS")


def test_who_has_not_proved_their_address_stays_out(cloud: Cloud) -> None:
    pat, authenticator = cloud.person(), Authenticator()
    add_passkey(cloud, pat, authenticator)
    with cloud.database.begin() as connection:
        connection.execute(sa.update(users).where(users.c.id == pat.id).values(verified_at=None))
        assert accounts.by_id(connection, pat.id) is not None
    sign_in(cloud, authenticator).refused(403, "ADDRESS_NOT_VERIFIED")


def test_nothing_that_opens_a_door_is_kept_as_it_is(cloud: Cloud) -> None:
    begun = challenge(cloud)
    with cloud.database.read() as connection:
        assert begun["token"] not in str(connection.execute(sa.select(sign_in_steps)).all())


texts = st.one_of(
    st.text(max_size=40), st.binary(max_size=200).map(encode), st.sampled_from(["", "e30", "AAAA", "null"])
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)


@st.composite
def mangled(draw: st.DrawFn, credential: dict[str, Any]) -> dict[str, Any]:
    """A good answer with one or a few of its fields made up, cut, or gone."""
    found = copy.deepcopy(credential)
    for _ in range(draw(st.integers(1, 3))):
        part = draw(st.sampled_from([found, found["response"]])) if isinstance(found.get("response"), dict) else found
        if not part:
            break
        name = draw(st.sampled_from(sorted(part)))
        value = part[name]
        choice = draw(st.integers(0, 3))
        if choice == 0:
            del part[name]
        elif choice == 1 or not isinstance(value, str):
            part[name] = draw(anything)
        else:
            place = draw(st.integers(0, len(value)))
            part[name] = value[:place] + draw(texts) + (value[place:] if choice == 2 else value[place + 8 :])
    return found


@settings(max_examples=25)
@given(data=st.data())
def test_no_answer_of_a_browser_breaks_us(cloud: Cloud, data: st.DataObject) -> None:
    authenticator = Authenticator(is_edwards=data.draw(st.booleans()))
    person = cloud.person(credits_micros=0)
    session = cloud.session(person.id)
    begun = cloud.post("/api/auth/passkeys/options", session).ok()
    body = {"token": begun["token"], "credential": data.draw(mangled(authenticator.create(begun["options"])))}
    assert cloud.post("/api/auth/passkeys", session, body).status in (201, 400)
    known = Authenticator()
    add_passkey(cloud, person, known)
    begun = challenge(cloud)
    body = {"token": begun["token"], "credential": data.draw(mangled(known.get(begun["options"])))}
    assert cloud.post("/api/auth/passkey-sign-in", body=body).status in (200, 400, 401)
