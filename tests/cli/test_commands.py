"""The commands over the client: what they do, what they print for people and programs, and how they end."""

import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import typer
from typer.core import TyperGroup
from typer.main import get_command

from forebay.cli import STATUSES, app, credentials, here, only
from forebay.domain.people import accounts, cli_sign_ins, roles_page
from forebay.domain.people.access import Credential, Target, enter
from forebay.domain.people.credentials import hash_token
from forebay.domain.people.roles import Role
from forebay.storage.tables import mails
from tests.api.cloud import Cloud, Person, new_public_key
from tests.cli.conftest import Run

pytestmark = pytest.mark.slow


def approve(cloud: Cloud, person: Person, *, is_approved: bool = True) -> Callable[[str], bool]:
    """What the person does in the browser that is opened."""

    def opened(address: str) -> bool:
        code = re.fullmatch(r"http://\S+/cli\?code=(\S+)", address)
        assert code is not None
        decide = cli_sign_ins.approve if is_approved else cli_sign_ins.deny
        hashed = hash_token(cloud.session(person.id), cloud.forebay.secret_key)
        with cloud.database.begin() as connection:
            credential = Credential(hashed, False, "192.0.2.9")
            caller, _ = enter(connection, credential, Target.nothing, None, now=cloud.clock.now())
            decide(connection, caller, code[1], cloud.forebay.secret_key, now=cloud.clock.now())
        return True

    return opened


def link(cloud: Cloud, email: str) -> str:
    """The link in the last mail to this address."""
    with cloud.database.read() as connection:
        rows = connection.execute(sa.select(mails.c.text).where(mails.c.recipient == email).order_by(mails.c.id)).all()
    found = re.search(r"http://\S+token=\S+", rows[-1].text)
    assert found is not None
    return found[0]


def test_signing_in_through_the_browser_and_out_again(
    cloud: Cloud, run: Run, url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pat = cloud.person()
    refused = run("whoami")
    assert refused.status == 3
    assert refused.err == f"forebay: You are not signed in at {url}. Run: forebay login --server {url}\n"
    monkeypatch.setattr("webbrowser.open", approve(cloud, pat))
    done = run("login")
    assert (done.status, done.out) == (0, f"You are signed in at {url} as {pat.email}.\n"), done
    assert re.search("^Code +[A-Z]{4}-[A-Z]{4}$", done.err, re.M)
    kept = home / "config" / "forebay" / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    token = credentials.token(url)
    assert token is not None
    assert token not in done.out + done.err
    assert run("whoami", "--json").json["id"] == pat.id
    assert re.search(f"^Address +{pat.email}$", run("whoami").out, re.M)
    assert run("whoami", FOREBAY_SERVER="").out == run("whoami").out, "the server signed in at last is the default"
    assert run("logout").status == 0
    assert credentials.token(url) is None
    cloud.get("/api/me", token).refused(401, "UNAUTHORIZED")
    assert run("logout").status == run("teams").status == 3


def test_a_sign_in_that_is_denied(cloud: Cloud, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", approve(cloud, cloud.person(), is_approved=False))
    denied = run("login")
    assert (denied.status, denied.out) == (1, "")
    assert "denied" in denied.err
    assert not (home / "config").exists()


def test_signing_in_with_a_key(cloud: Cloud, run: Run, url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pat = cloud.person()
    (home / "key").write_text(f"{pat.key}\n")
    with (home / "key").open() as key:
        monkeypatch.setattr("sys.stdin", key)
        assert run("login", "--with-token").status == 0
    assert run("whoami", "--json").json["id"] == pat.id
    assert run("logout").status == 0
    cloud.get("/api/me", pat.key).ok()
    (home / "key").write_text("fby_pk_wrong\n")
    with (home / "key").open() as key:
        monkeypatch.setattr("sys.stdin", key)
        assert run("login", "--with-token").status == 3
    assert credentials.token(url) is None


def test_teams_from_the_first_day_to_the_last(cloud: Cloud, run: Run) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    token = pat.session
    made = run("teams", "create", "Blue Lab", "--mode", "read-only", "--json", token=token).json
    assert made["memberMode"] == "read-only"
    for listing in (run("teams", token=token), run("teams", "list", token=token)):
        assert (listing.status, listing.out.count("\n")) == (0, 4), listing
        assert "Blue Lab" in listing.out
        assert "\x1b" not in listing.out
    assert run("teams", "--json", token=token).json == cloud.get("/api/teams", token).ok()
    assert run("teams", "use", made["slug"], token=token).out == "Blue Lab is your current team.\n"
    assert run("teams", "rename", "Red Lab", token=token).out == "The team is called Red Lab now.\n"
    assert run("teams", "mode", "deploy-only", "--team", "red lab", token=token).status == 0
    shown = run("teams", "show", made["id"], token=token)
    assert re.search("^Members may +deploy-only$", shown.out, re.M)
    permissions = run("teams", "permissions", "--json", token=token).json
    assert permissions["role"] == "owner"
    assert "deployments.launch" in run("teams", "permissions", token=token).out
    cloud.join(made["id"], mia, Role.member)
    moved = run("teams", "transfer", mia.email, "--keep", "--yes", token=token)
    assert moved.out == "Mia owns Red Lab now. You are owner.\n"
    assert run("teams", "leave", "--yes", token=token).out == "You have left Red Lab.\n"
    (left,) = run("teams", "--json", token=token).json["teams"]
    gone = run("teams", "delete", made["id"], "--yes", token=token)
    assert (gone.status, gone.err) == (4, f"forebay: There is no team '{made['id']}' here. There is: {left['slug']}\n")
    assert run("teams", "delete", "red lab", "--yes", token=mia.session).out == "Red Lab is deleted.\n"


def test_members_and_invitations(cloud: Cloud, run: Run, home: Path) -> None:
    pat, mia = cloud.person(), cloud.person("Mia")
    token, team = pat.session, ("--team", pat.team)
    sent = run("invitations", "send", mia.email, "--role", "admin", *team, token=token)
    assert re.fullmatch(rf"{mia.email} is invited to .* as admin, until \S+ \S+ UTC\.\n", sent.out), sent
    first = link(cloud, mia.email)
    assert run("invitations", "resend", mia.email, token=token).status == 0
    assert run("invitations", "accept", first, token=mia.session).status == 4, "the new link has ended the old"
    joined = run("invitations", "accept", link(cloud, mia.email), token=mia.session)
    assert joined.out.startswith("You are admin of "), joined
    for other in ("ann@example.org", "bob@example.org"):
        assert run("invitations", "send", other, token=token).status == 0
    assert run("invitations", "revoke", "ann@example.org", "--yes", token=token).status == 0
    assert run("invitations", "decline", link(cloud, "bob@example.org"), "--yes").status == 0
    states = {
        one["email"]: one["state"] for one in run("invitations", "list", "--json", token=token).json["invitations"]
    }
    assert states == {mia.email: "accepted", "ann@example.org": "revoked", "bob@example.org": "declined"}
    assert "declined" in run("invitations", "list", token=token).out
    assert mia.email in run("members", "list", token=token).out
    assert run("members", "role", mia.email, "member", token=token).status == 0
    members = run("members", "list", "--json", token=token).json["members"]
    assert {one["email"]: one["role"] for one in members} == {pat.email: "owner", mia.email: "member"}
    kept, lost = cloud.ssh_key(pat.team, mia), cloud.ssh_key(pat.team, mia)
    out = run("members", "off-board", mia.email, "--keep-key", kept, "--yes", *team, token=token)
    assert re.search("^  removed SSH key ", out.out, re.M), out
    assert re.search("^  kept SSH key ", out.out, re.M)
    keys = [key["id"] for key in run("ssh-keys", "list", "--json", token=token).json]
    assert (kept in keys, lost in keys) == (True, False)
    cloud.join(pat.team, mia, Role.member)
    assert run("members", "remove", "mia", "--yes", "--json", token=token).json["userId"] == mia.id


def test_api_keys_and_access_to_them(cloud: Cloud, run: Run) -> None:
    pat = cloud.person()
    token = cloud.session(pat.id)
    made = run("api-keys", "create", "nightly", "--expires-in-days", "5", "--only-team", pat.team, token=token)
    secret = made.out.strip()
    assert made.out == f"{secret}\n", "alone on standard output"
    assert run("whoami", "--json", token=secret).json["id"] == pat.id
    listing = run("api-keys", "list", token=token)
    assert "expiring" in listing.out
    assert secret not in listing.out
    change = ("api-keys", "change", "nightly")
    assert run(*change, "--all-teams", "--never-expires", "--name", "weekly", token=token).out == "weekly is changed.\n"
    [key] = [key for key in run("api-keys", "list", "--json", token=token).json["apiKeys"] if key["name"] == "weekly"]
    assert (key["teamIds"], key["expiresAt"]) == (None, None)
    rotated = run("api-keys", "rotate", "weekly", "--keep-hours", "2", token=token)
    assert rotated.status == 0, rotated
    cloud.get("/api/me", secret).ok()
    fresh = rotated.out.strip()
    cloud.get("/api/me", fresh).ok()
    assert run("api-keys", "revoke", "weekly", "--yes", token=token).status == 0
    cloud.get("/api/me", fresh).refused(401, "UNAUTHORIZED")
    assert "revoked" in run("api-keys", "list", "--revoked", token=token).out
    assert re.search("^Status +approved$", run("api-keys", "access", token=token).out, re.M)
    with cloud.database.begin() as connection:
        accounts.set_api_access(connection, pat.id, "refused", reason="who?", now=cloud.clock.now())
    suspended = run("teams", token=pat.key)
    assert suspended.status == 4
    assert suspended.err.endswith("See: forebay api-keys access\n")
    assert re.search(r"^Reason +who\?$", run("api-keys", "access", token=pat.key).out, re.M)
    assert run("api-keys", "request-access", token=token).status == 1
    cloud.clock.forward(days=1)
    asked = run("api-keys", "request-access", "--json", token=cloud.session(pat.id))
    assert asked.json["status"] == "requested"


def test_ssh_keys(cloud: Cloud, run: Run, home: Path) -> None:
    pat = cloud.person()
    (home / "id.pub").write_text(new_public_key() + "\n")
    added = run("ssh-keys", "add", home / "id.pub", token=pat.key)
    assert re.match(r"someone@somewhere SHA256:\S+ belongs to ", added.out), added
    assert "someone@somewhere" in run("ssh-keys", "list", token=pat.key).out
    (home / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    private = run("ssh-keys", "add", home / "id", token=pat.key)
    assert private.status == 2
    assert "stays with you" in private.err
    assert run("ssh-keys", "remove", "someone@somewhere", "--yes", token=pat.key).status == 0
    assert run("ssh-keys", "list", "--json", token=pat.key).json == []


def test_ssh_keys_that_somebody_has_published(cloud: Cloud, run: Run) -> None:
    pat = cloud.person()
    cloud.shelf.put("https://github.test/octocat.keys", new_public_key(), new_public_key())
    assert "https://github.test/{user}.keys" in run("ssh-keys", "sources", token=pat.key).out
    only = cloud.post("/api/ssh-keys/lookup", pat.key, {"source": "GitHub", "user": "octocat"}).ok()["keys"][1]
    chosen = run("ssh-keys", "add", "--from", "github:octocat", "--key", only["fingerprint"], token=pat.key)
    assert chosen.out.startswith(f"someone@somewhere {only['fingerprint']} belongs to ")
    rest = run("ssh-keys", "add", "--from", "github:octocat", token=pat.key)
    assert (rest.out.count(" belongs to "), rest.out.count(" was there already.")) == (1, 1)
    assert len(run("ssh-keys", "add", "--from", "github:octocat", "--json", token=pat.key).json["present"]) == 2
    assert "GitHub knows no ghost." in run("ssh-keys", "add", "--from", "github:ghost", token=pat.key).err
    for words in (["github"], ["github:"], ["github:octocat", "--agent"], ["github:octocat", "--name", "x"]):
        assert run("ssh-keys", "add", "--from", *words, token=pat.key).status == 2
    assert run("ssh-keys", "add", "x.pub", "--key", "SHA256:x", token=pat.key).status == 2


def test_activity_filtered_and_for_spreadsheets(cloud: Cloud, run: Run) -> None:
    pat = cloud.person()
    run("teams", "rename", "A lab", token=pat.session)
    rows = run("activity", "--json", token=pat.session).json["activity"]
    assert [row["action"] for row in rows] == ["team.rename"]
    assert "team.rename" in run("activity", "--who", pat.email, token=pat.session).out
    assert run("activity", "--denied", "--json", token=pat.session).json["activity"] == []
    table = run("activity", "--csv", "--action", "team.rename", token=pat.session)
    assert table.out.count("team.rename") == 1
    assert "," in table.out
    assert run("activity", "--mine", "--json", token=pat.session).json["total"] >= 1


def test_how_commands_end(cloud: Cloud, run: Run, url: str) -> None:
    pat, stranger = cloud.person(), cloud.person()
    mia = cloud.person("Mia")
    cloud.join(pat.team, mia, Role.member)
    ends = {
        0: run("teams", token=pat.key),
        1: run("teams", "mode", "anarchy", token=pat.session),
        2: run("teams", "rename", token=pat.session),
        3: run("teams", token="fby_pk_wrong"),
        4: run("teams", "rename", "mine", "--team", pat.team, token=mia.session),
        5: run("teams", "--server", "http://127.0.0.1:9", token=pat.key),
    }
    assert {status: said.status for status, said in ends.items()} == {status: status for status in ends}, ends
    for status in (1, 3, 4, 5):
        said = ends[status]
        assert re.fullmatch(r"forebay: [^\n]+\n", said.err), said
        assert said.out == ""
        assert pat.session not in said.err
        assert str(status) in STATUSES
    assert "memberMode" in ends[1].err
    assert "team.manage" in ends[4].err
    assert run("members", "list", "--team", pat.team, token=stranger.session).status == 4
    cloud.clock.forward(minutes=16)
    old = run("api-keys", "create", "x", token=pat.session)
    assert (old.status, old.err.endswith("Run: forebay login\n")) == (3, True), old
    key = run("api-keys", "list", token=pat.key)
    assert (key.status, "forebay login" in key.err) == (3, True)


def test_what_cant_be_undone_is_asked_for(cloud: Cloud, run: Run) -> None:
    pat = cloud.person()
    key = cloud.ssh_key(pat.team, pat)
    for arguments in (
        ("ssh-keys", "remove", key), ("teams", "delete", pat.team), ("teams", "leave"),
        ("api-keys", "revoke", cloud.get("/api/api-keys", pat.session).ok()["apiKeys"][0]["id"]),
    ):  # fmt: skip
        said = run(*arguments, token=pat.session)
        assert (said.status, "--yes" in said.err) == (2, True), said
    assert [found["id"] for found in run("ssh-keys", "list", "--json", token=pat.key).json] == [key]


def test_names_that_are_not_clear(cloud: Cloud, run: Run) -> None:
    pat = cloud.person()
    for _ in range(2):
        run("teams", "create", "Twin", token=pat.session)
    several = run("members", "list", "--team", "Twin", token=pat.session)
    assert (several.status, "say which by its id" in several.err) == (2, True), several
    run("teams", "create", "other twin", token=pat.session)
    assert run("members", "list", "--team", "nobody's", token=pat.session).status == 4
    assert run("members", "role", "nobody@example.org", "admin", token=pat.session).status == 4


def test_text_from_elsewhere_cannot_play_with_the_terminal() -> None:
    assert here.visible("a\x1b[31mb\u202ec\r\n") == "a\ufffd[31mb\ufffdc\ufffd\ufffd"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://Cloud.Example.org/", "https://cloud.example.org"), ("cloud.example.org", "https://cloud.example.org"),
        ("http://127.0.0.1:8400/api", "http://127.0.0.1:8400"), ("https://a.example/forebay", "https://a.example/forebay"),
    ],
)  # fmt: skip
def test_addresses_in_one_form(given: str, meant: str) -> None:
    assert here.address(given) == meant


@pytest.mark.parametrize("given", ["", "ftp://a.example", "https://user:password@a.example", "https://"])
def test_what_is_no_address(given: str) -> None:
    with pytest.raises(SystemExit):
        here.address(given)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"servers": 5}', '{"servers": {"http://x": 5}}'])
def test_a_credentials_file_that_cannot_be_read_is_none(home: Path, text: str) -> None:
    credentials.file().parent.mkdir(parents=True)
    credentials.file().write_text(text)
    assert credentials.token("http://x") is None
    credentials.keep("http://x", "secret", email="a@example.org", expires_at=None)
    assert credentials.token("http://x") == "secret"
    assert stat.S_IMODE(credentials.file().stat().st_mode) == 0o600
    assert [path.name for path in credentials.file().parent.iterdir()] == ["credentials.json"]


def test_the_roles_are_printed_without_a_server(run: Run) -> None:
    assert run("docs", "roles").out == roles_page.page()


@pytest.mark.parametrize("arguments", [(), ("teams",), ("api-keys", "change"), ("login",)])
def test_help_names_the_statuses_and_the_shared_options(run: Run, arguments: tuple[str, ...]) -> None:
    said = run(*arguments, "--help", COLUMNS="200")
    assert said.status == 0
    assert ("Exit status" in said.out) if not arguments else ("--server" in said.out)


def test_a_command_loads_nothing_that_only_servers_need_and_makes_no_other_command() -> None:
    heavy = {"asyncio", "litestar", "sqlalchemy", "uvicorn", "cryptography", "jinja2"}
    program = f"import sys, forebay.cli, forebay.client.volumes; print({heavy} & set(sys.modules))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"

    def commands(program: typer.Typer) -> set[str]:
        made = get_command(program)
        assert isinstance(made, TyperGroup)
        return set(made.commands)

    every = commands(app)
    for word in every:
        made = commands(only([word]))
        assert word in made
        assert len(made) <= 2
    assert commands(only(["nonsense"])) == commands(only([])) == every
