"""Every command of the command line as a person runs it: in a terminal, against a server, signed in by a browser."""

import email
import email.policy
import json
import os
import pty
import re
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from forebay.cli import app
from tests.api.cloud import new_public_key
from tests.e2e.cloud import PROGRAM, Cloud, cloud, environment, eventually
from tests.receiver import paged, receiver

PATIENCE_SECONDS = 30
COLOUR = re.compile("\x1b\\[[0-9;]*m")
NOT_OVER_THE_CLIENT = {
    "serve", "worker", "migrate", "audit", "doctor", "backup", "restore", "settings", "operator", "payments", "image",
    "version",
}  # fmt: skip

BROWSER = """#!{python}
# Signs in on the pages, compares the code, and approves, as a person does.
import re, sys, httpx
address, form = sys.argv[1], re.compile('name="([a-z_]+)" value="([^"]*)"')
server = address.split("/cli")[0]
with httpx.Client(base_url=server, follow_redirects=True, headers={{"origin": server}}) as browser:
    fields = dict(form.findall(browser.get("/sign-in").text))
    browser.post("/sign-in", data={{**fields, "email": {email!r}, "password": {password!r}}}).raise_for_status()
    page = browser.get(address).text
    approval = {{**dict(form.findall(page)), "decision": "approve"}}
    assert address.endswith(approval["code"]), approval
    assert "Approved" in browser.post("/cli", data=approval).text
"""


class Terminal:
    """A person's terminal, with a home and a browser of its own."""

    def __init__(self, folder: Path, url: str, person: dict[str, Any]) -> None:
        folder.mkdir()
        self.folder = folder
        browser = folder / "browser"
        text = BROWSER.format(python=sys.executable, email=person["email"], password=person["password"])
        browser.write_text(text)
        browser.chmod(0o700)
        self.environment = environment(server=url) | {
            "XDG_CONFIG_HOME": str(folder),
            "BROWSER": str(browser),
            "TERM": "xterm-256color",
            "COLUMNS": "200",
        }
        self.run: set[str] = set()

    def types(
        self,
        *arguments: str | Path,
        answer: str | Sequence[tuple[str, str]] = "",
        status: int = 0,
        **more: str,
    ) -> str:
        """What a command shows; `answer` is typed when it asks, or each of several when its question is there."""
        asked = [("[y/N]", answer)] if answer and isinstance(answer, str) else list(answer)
        read = 0
        master, slave = pty.openpty()
        words = [str(argument) for argument in arguments]
        child = subprocess.Popen(
            [PROGRAM, *words], stdin=slave, stdout=slave, stderr=slave, env=self.environment | more, close_fds=True
        )
        os.close(slave)
        shown, until = b"", time.monotonic() + PATIENCE_SECONDS
        while True:
            assert time.monotonic() < until, (words, shown)
            ready, _, _ = select.select([master], [], [], 0.2)
            try:
                part = os.read(master, 65536) if ready else b""
            except OSError:  # the other side is closed: the command has ended
                break
            shown += part
            if asked and asked[0][0].encode() in shown[read:]:
                os.write(master, f"{asked.pop(0)[1]}\n".encode())
                read = len(shown)
        os.close(master)
        assert child.wait(PATIENCE_SECONDS) == status, (words, shown)
        assert b"Traceback" not in shown
        assert isinstance(answer, str) or not asked, (words, shown, asked)
        self.run |= {" ".join(words[:2]), words[0]}
        return shown.decode().replace("\r\n", "\n")

    def json(self, *arguments: str | Path, **more: str) -> Any:
        """The JSON that a command prints into a pipe."""
        words = [*map(str, arguments), "--json"]
        done = subprocess.run(
            [PROGRAM, *words], env=self.environment | more, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, (words, done.stderr)
        self.run |= {" ".join(words[:2]), words[0]}
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A demo cloud without machines, and beside it a server with somebody's keys."""
    line = f"{new_public_key()}\n".encode()
    with receiver() as other:
        other.answer = lambda handler: paged(handler, line)
        sources = {
            "ssh_key_sources": f"Loopback=http://127.0.0.1:{other.port}/{{user}}.keys",
            "ssh_key_source_allow_http": "yes",
            "ssh_key_source_open_networks": "127.0.0.0/8",
        }
        with cloud(tmp_path_factory.mktemp("cloud"), providers="", **sources) as found:
            yield found


def link(server: Cloud, recipient: str, page: str) -> str:
    """The newest link to a page that was mailed to somebody."""

    def claim() -> str | None:
        for path in sorted((server.data_dir / "outbox").glob("*"), reverse=True):
            mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            body = mail.get_body(("plain",))
            found = None if body is None else re.search(rf"http\S+/{page}\?token=\S+", body.get_content())
            if found and recipient in str(mail["to"]):
                return found[0]
        return None

    return str(eventually(claim, f"a link to {page} for {recipient}"))


def commands() -> set[str]:
    """All that go over the client, as they are typed."""
    found = set()
    tree: Any = typer.main.get_command(app)
    for name, command in tree.commands.items():
        if name not in NOT_OVER_THE_CLIENT:
            found |= {f"{name} {inner}" for inner in getattr(command, "commands", {})} or {name}
    return found


def test_every_command_as_a_person_runs_it(server: Cloud, tmp_path: Path) -> None:
    olga, admin, _ = server.facts["people"]
    otto = server.facts["operator"]
    team = server.facts["teams"][0]
    person = Terminal(tmp_path / "olga", server.url, olga)

    assert "forebay login" in person.types("whoami", status=3)
    shown = person.types("login")
    assert f"You are signed in at {server.url} as {olga['email']}." in shown
    assert re.search("^Code +[A-Z]{4}-[A-Z]{4}$", shown, re.M)
    assert person.json("whoami")["email"] == olga["email"]
    people_and_teams(server, person, olga, admin, team)
    invited(server, person, otto, admin, tmp_path)
    keys(person, team, tmp_path)
    money(server, person)
    stored(person)
    saved(person)
    news(person)
    assert "team.create" in person.types("activity", "--mine")
    assert person.json("activity", "--team", team["id"])["total"] > 0
    assert "deployments.launch" in person.types("docs", "roles")
    assert "signed out" in person.types("logout")
    person.types("teams", status=3)
    assert commands() - person.run == set()


def people_and_teams(
    server: Cloud, person: Terminal, olga: dict[str, Any], admin: dict[str, Any], team: dict[str, Any]
) -> None:
    """Teams, and who belongs to them."""
    coloured, plain = person.types("teams"), person.types("teams", "list", NO_COLOR="1")
    assert COLOUR.search(coloured)
    assert not re.search("\x1b\\[[0-9;]*3[0-7]m", plain), "no colours"
    assert team["slug"] in COLOUR.sub("", plain)
    made = person.json("teams", "create", "River Lab")
    assert "is your current team" in person.types("teams", "use", made["slug"])
    assert made["id"] in person.types("teams", "show")
    assert "Lake Lab" in person.types("teams", "rename", "Lake Lab")
    assert "read-only" in person.types("teams", "mode", "read-only")
    assert "team.manage" in person.types("teams", "permissions")
    assert "Aborted" in person.types("teams", "delete", made["slug"], answer="n", status=1)
    assert "is deleted" in person.types("teams", "delete", made["slug"], answer="y")
    person.types("teams", "use", team["slug"])
    assert admin["email"] in person.types("members", "list")
    assert "is member of" in person.types("members", "role", admin["email"], "member")
    second = person.json("teams", "create", "Handed over")
    assert second["role"] == "owner"
    with httpx.Client(base_url=server.url) as http:
        signed_in = http.post("/api/auth/sign-in", json={"email": admin["email"], "password": admin["password"]})
        token = signed_in.json()["token"]
    person.json("invitations", "send", admin["email"], "--team", second["slug"])
    mailed = link(server, admin["email"], "invitations")
    assert "You are member of Handed over" in person.types("invitations", "accept", mailed, FOREBAY_TOKEN=token)
    handed = person.types("teams", "transfer", admin["email"], "--team", second["slug"], answer="y")
    assert f"{admin['name']} owns Handed over now. You are admin." in handed
    assert "You have left" in person.types("teams", "leave", second["slug"], answer="y")
    person.types("teams", "use", team["slug"])


def invited(server: Cloud, person: Terminal, otto: dict[str, Any], admin: dict[str, Any], folder: Path) -> None:
    """Invitations, and the ways out of a team."""
    other = Terminal(folder / "otto", server.url, otto)
    other.types("login")
    assert "is invited" in person.types("invitations", "send", otto["email"], "--role", "admin")
    assert "gets a new link" in person.types("invitations", "resend", otto["email"])
    assert "You have declined" in other.types(
        "invitations", "decline", link(server, otto["email"], "invitations"), answer="y"
    )
    person.types("invitations", "send", otto["email"])
    assert "You are member of" in other.types("invitations", "accept", open_link(server, otto))
    assert "has left" in person.types("members", "remove", otto["email"], answer="y")
    assert "has left" in person.types("members", "off-board", admin["email"], answer="y")
    person.types("invitations", "send", "nobody@demo.test")
    assert "is revoked" in person.types("invitations", "revoke", "nobody@demo.test", answer="y")
    assert "revoked" in person.types("invitations", "list")
    person.run |= other.run


def open_link(server: Cloud, otto: dict[str, Any]) -> str:
    """The link of the invitation that is open: the mail may still be on its way."""

    def claim() -> str | None:
        found = link(server, otto["email"], "invitations")
        token = found.partition("token=")[2]
        state = httpx.get(f"{server.url}/api/invitations/{token}").json().get("state")
        return found if state == "pending" else None

    return str(eventually(claim, "the mail with the open invitation"))


def published(person: Terminal) -> None:
    """Keys that somebody has put on a page of their own."""
    assert "/{user}.keys" in person.types("ssh-keys", "sources")
    assert "There is no such source here" in person.types("ssh-keys", "add", "--from", "nowhere:pat", status=1)
    words = person.types("ssh-keys", "add", "--from", "loopback:pat", answer="y")
    assert "Add this key to" in words
    assert "someone@somewhere SHA256:" in words
    assert "was there already" in person.types("ssh-keys", "add", "--from", "loopback:pat")
    assert "is removed" in person.types("ssh-keys", "remove", "someone@somewhere", answer="y")


def keys(person: Terminal, team: dict[str, Any], folder: Path) -> None:
    """Keys for programs and for machines."""
    secret = person.types("api-keys", "create", "nightly").splitlines()[-1]
    assert person.json("whoami", FOREBAY_TOKEN=secret)["currentTeamId"] == team["id"]
    assert "nightly" in person.types("api-keys", "list")
    assert "is changed" in person.types("api-keys", "change", "nightly", "--only-team", team["slug"])
    rotated = person.json("api-keys", "rotate", "nightly", "--keep-hours", "1")
    assert rotated["teamIds"] == [team["id"]]
    assert "is revoked" in person.types("api-keys", "revoke", rotated["id"], answer="y")
    assert "API access" not in person.types("teams", FOREBAY_TOKEN=secret), "the old one is good for an hour"
    assert "approved" in person.types("api-keys", "access")
    assert person.json("api-keys", "request-access")["status"] == "approved"
    public = folder / "id_ed25519.pub"
    public.write_text(new_public_key())
    assert "SHA256:" in person.types("ssh-keys", "add", public, "--name", "laptop")
    assert "laptop" in person.types("ssh-keys", "list")
    assert "is removed" in person.types("ssh-keys", "remove", "laptop", answer="y")
    published(person)
    # With machines: test_ssh.py, and tests/cli.
    assert "There is no machine 'train'" in person.types("logs", "train", status=4)
    assert "There is no machine 'train'" in person.types("ssh-keys", "on", "train", status=4)
    assert "There is no machine 'train'" in person.types("ssh-keys", "set", "train", "--add", "laptop", status=4)
    assert "There is no SSH key" in person.types("ssh-keys", "delete", "nobody", status=4)
    assert "Nothing that can be launched" in person.types("offers")
    assert person.json("offers")["data"] == []
    assert "There is no machine 'train'" in person.types("ssh", "train", status=4)
    assert "There is no machine 'train'" in person.types("cp", public, "train:", status=4)
    assert "0 machines are in" in person.types("ssh-config")
    # With machines: test_deploy.py.
    assert "There is no offer 'local-cpu-small'" in person.types("deploy", "local-cpu-small", status=4)
    assert person.json("deployments", "list") == []
    for words in (["show"], ["watch"], ["stop"], ["start"], ["terminate"], ["rename", "x"], ["label", "a=b"]):
        assert "There is no machine" in person.types("deployments", words[0], "train", *words[1:], status=4)
    assert "There is no machine" in person.types("deployments", "plan", "train", "--max-cost", "5", status=4)


def stored(person: Terminal) -> None:
    """Volumes, where nobody keeps any; with machines: test_volumes.py."""
    assert person.json("volumes")["total"] == 0
    assert person.json("volumes", "regions")["regions"] == []
    assert "Status" in person.types("volumes", "list")
    assert "No provider here keeps volumes" in person.types("volumes", "create", "data", "1", status=1)
    assert "keeps no volumes" in person.types("volumes", "create", "data", "1", "--provider", "local", status=1)
    for words in (("grow", "data", "2"), ("rename", "data", "x"), ("delete", "data")):
        assert "There is no volume 'data'" in person.types("volumes", *words, status=4)
    for verb in ("attach", "detach"):
        assert "There is no volume 'data'" in person.types("volumes", verb, "data", "train", status=4)


def money(server: Cloud, person: Terminal) -> None:
    """What there is, and where it goes."""
    assert "$100.00" in person.types("balance")
    assert person.json("transactions")["total"] > 0
    assert person.json("usage")["usage"] == []
    person.types("statement")
    assert "Nothing was stopped" in person.types("start-again")
    other = server.facts["teams"][1]
    assert "has $1.00 more" in person.types("move-credits", "1", other["slug"])
    assert "Auto top-up is off" in person.types("auto-top-up", "show")
    assert "Auto top-up is off" in person.types("auto-top-up", "off")
    assert "Cards are not set up" in person.types("auto-top-up", "set", "20", "50", status=1)
    assert "Turn it on first" in person.types("auto-top-up", "try-again", status=1)
    assert "The budget of the whole team is $50.00 a month (block)" in person.types(
        "budgets", "set", "50", "--at-limit", "block"
    )
    assert "project=x" in person.types("budgets", "set", "7", "--label", "project=x", "--alert", "75")
    assert "Month comes to" in person.types("budgets")
    assert [each["amount"] for each in person.json("budgets", "list")["budgets"]] == [50, 7]
    for name in ("project=x", "team"):
        assert "is deleted" in person.types("budgets", "delete", name, answer="y")
    # With a processor behind it: test_pool.py.
    assert "Cards are not set up" in person.types("cards", "list")
    assert "Cards are not set up" in person.types("cards", "add", status=1)
    assert "There is no card '4242'" in person.types("cards", "default", "4242", status=4)
    assert "There is no card '4242'" in person.types("cards", "remove", "4242", status=4)
    assert "Cards are not set up" in person.types("top-up", "50", status=1)
    assert person.json("top-ups")["takesCards"] is False


def saved(person: Terminal) -> None:
    """Launches that the team of the simulation has saved; their offers are gone by now."""
    farm = ("--team", "render-farm-simulation")
    assert "There is no offer 'local-cpu-small'" in person.types("templates", "save", "x", "local-cpu-small", status=1)
    assert "offer gone" in person.types("templates", *farm)
    assert "Nightly render" in person.types("templates", "list", *farm)
    assert "is not on the list any more" in person.types("templates", "show", "nightly render", *farm)
    ended = person.json("deployments", "list", "--status", "inactive", *farm)[0]["id"]
    assert "Weekly is saved" in person.types("templates", "save", "Weekly", "--from", ended, *farm)
    assert "called 'Weekly' already" in person.types("templates", "save", "weekly", "--from", ended, *farm, status=1)
    assert "is Monthly from now on" in person.types("templates", "rename", "weekly", "Monthly", *farm)
    assert "Nothing can be launched now" in person.types("deploy", "--template", "monthly", *farm, status=1)
    assert "is deleted" in person.types("templates", "delete", "monthly", *farm, answer="y")


def news(person: Terminal) -> None:
    """What people are mailed, and what a team's programs are told."""
    assert "deployment.running" in person.types("notifications")
    assert "are off" in person.types("notifications", "off", "report.weekly", "deployment.running")
    assert "stays on" in person.types("notifications", "off", "balance.low", status=1)
    assert "are on" in person.types("notifications", "on", "report.weekly")
    assert "always" in person.types("notifications", "list")
    assert "Offer not found" in person.types("notifications", "watch", "nothing", status=4)
    assert "no watched offer" in person.types("notifications", "unwatch", "nothing", status=4)
    assert "on the public network" in person.types("webhooks", "add", "https://10.0.0.1/", status=1)
    secret = person.types("webhooks", "add", "https://hooks.forebay.invalid/x", "--name", "chat", "--kind", "limit.met")
    assert re.search("^whsec_[A-Za-z0-9+/]{43}=$", secret, re.M)
    assert "limit.met" in person.types("webhooks")
    assert "is on its way" in person.types("webhooks", "test", "chat")
    reason = eventually(lambda: tried(person), "an attempt to deliver")
    assert reason == "its name has no address"
    assert "told of everything" in person.types("webhooks", "change", "chat", "--all-kinds", "--disable")
    assert "webhook.test" in person.types("webhooks", "deliveries", "chat")
    assert "whsec_" in person.types("webhooks", "rotate", "chat", "--keep-hours", "1")
    assert "disabled by hand" in person.types("webhooks", "list")
    assert "is removed" in person.types("webhooks", "remove", "chat", answer="y")


def tried(person: Terminal) -> str | None:
    """What came of the last attempt to deliver."""
    [delivery] = person.json("webhooks", "deliveries", "chat")["deliveries"]
    return next((attempt["reason"] for attempt in delivery["attempts"]), None)


def test_the_help_comes_at_once() -> None:
    """Half a second of a processor at most: fast enough to be asked for without thinking."""
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([PROGRAM, "--help"], env=environment(), capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(taken) <= 0.5, taken


def test_the_help_loads_neither_the_client_nor_the_server() -> None:
    script = (
        "import sys; sys.argv = ['forebay', '--help']\n"
        "from forebay.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'httpx', 'sqlalchemy', 'litestar', 'forebay.client'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, check=True)
