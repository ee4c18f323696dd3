"""An invitation by way of a real SMTP server: written, sent by the worker, read as mail programs do, accepted."""

import email
import email.message
import email.policy
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from tests.api.cloud import URL, Cloud
from tests.test_mail import Inbox, OnFreePort


@pytest.fixture
def mail_server() -> Iterator[Controller]:
    controller = OnFreePort(Inbox(), hostname="127.0.0.1", port=0)
    controller.start()
    yield controller
    controller.stop()


class Links(HTMLParser):
    """Where the links of a page lead, and what it would load by itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "a" and name == "href":
                self.links.append(value or "")
            elif name in ("src", "srcset", "background") or tag in ("script", "iframe", "link", "img"):
                self.loaded.append(f"{tag} {name} {value}")


def parts(message: email.message.Message) -> tuple[email.message.EmailMessage, str, str]:
    """The mail, its text and its HTML."""
    parsed = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    assert isinstance(parsed, email.message.EmailMessage)
    text, page = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert text is not None
    assert page is not None
    return parsed, text.get_content(), page.get_content()


def test_from_the_mailbox_into_the_team(
    make_cloud: Callable[..., Cloud], mail_server: OnFreePort, tmp_path: Path
) -> None:
    cloud = make_cloud(smtp_url=f"smtp://127.0.0.1:{mail_server.port}", mail_from="Forebay <noreply@cloud.test>")
    inbox: Inbox = mail_server.handler
    owner, mia = cloud.person("Olga"), cloud.person("Mia")
    name = "Lab <img src=x onerror=alert(1)>"
    team = cloud.post("/api/teams", owner.session, {"name": name}).ok(201)["id"]
    cloud.post(f"/api/teams/{team}/invitations", owner.session, {"email": mia.email, "role": "member"}).ok(201)
    assert inbox.found == [], "nothing goes out within the request"
    cloud.run("mails")
    [found] = inbox.found
    assert found["X-RcptTo"] == mia.email
    message, text, page = parts(found)
    assert message["Subject"] == f"Olga invites you to {name}"
    assert "as a member" in text
    assert "launch machines and operate those one launched" in text
    [link] = re.findall(r"^http\S+$", text, re.MULTILINE)
    assert set(Links(page).links) == {link}, "both parts lead to the same place, and nowhere else"
    assert Links(page).loaded == []
    assert "onerror=alert(1)&gt;" in page
    assert link.startswith(f"{URL}/invitations?token=fby_in_")
    token = link.partition("token=")[2]
    assert cloud.get(f"/api/invitations/{token}").ok()["state"] == "pending"
    assert cloud.post(f"/api/invitations/{token}/accept", mia.session).ok()["teamId"] == team
    cloud.run("mails")
    [_, told] = inbox.found
    assert told["X-RcptTo"] == owner.email
    assert "Mia" in parts(told)[1]
