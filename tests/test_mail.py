"""Mail through a real SMTP server on loopback, and into the outbox."""

import email
import email.policy
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from forebay import mail
from forebay.domain.people.letters import Letter
from forebay.mail import MailNotSent
from forebay.settings import Settings


class Inbox(Message):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[email.message.Message] = []

    def handle_message(self, message: email.message.Message) -> None:
        self.found.append(message)


class OnFreePort(Controller):
    """A controller that connects to the port the system gave it."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@pytest.fixture
def server() -> Iterator[OnFreePort]:
    controller = OnFreePort(Inbox(), hostname="127.0.0.1", port=0)
    controller.start()
    yield controller
    controller.stop()


def test_a_mail_arrives_as_it_was_written(server: OnFreePort, tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, smtp_url=f"smtp://127.0.0.1:{server.port}", mail_from="Forebay <noreply@cloud.test>"
    )
    mail.sender(settings).send("abc", "ann@x.test", "Größe\nInjected: no", "Hello Ann,\n\nhttps://x/verify?token=ä\n")
    (found,) = server.handler.found
    assert found["X-RcptTo"] == "ann@x.test"
    assert found["Message-ID"] == "<abc@cloud.test>"
    assert found["Injected"] is None
    assert "token=ä" in found.get_payload(decode=True).decode()


def test_a_password_is_not_sent_without_tls(server: OnFreePort, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, smtp_url=f"smtp://me:s3cret-word@127.0.0.1:{server.port}")
    with pytest.raises(MailNotSent) as refused:
        mail.sender(settings).send("abc", "ann@x.test", "s", "t")
    assert "s3cret-word" not in str(refused.value)
    assert server.handler.found == []


def test_a_server_that_is_away_is_said(tmp_path: Path) -> None:
    with pytest.raises(MailNotSent):
        mail.sender(Settings(data_dir=tmp_path, smtp_url="smtp://127.0.0.1:1")).send("abc", "ann@x.test", "s", "t")


def test_without_a_server_mail_goes_to_the_outbox_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    sender = mail.sender(Settings(data_dir=tmp_path))
    for _ in range(2):
        sender.send("abc", "ann@x.test", "subject", "text")
    (path,) = (tmp_path / "outbox").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    found = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert (found["To"], found.get_content()) == ("ann@x.test", "text\n")
    assert str(tmp_path) in sender.description


def test_a_letter_arrives_as_text_and_as_html_that_say_the_same(server: OnFreePort, tmp_path: Path) -> None:
    letter = Letter(
        subject="You are invited",
        name="<img src=x onerror=alert(1)>",
        paragraphs=["Ann & Bob invite you to “Rock & <b>Roll</b>”.", "One\ntwo."],
        label="Look at it",
        link="https://cloud.test/invitations/abc?x=1&y=2",
        after=["Good for 7 days."],
    )
    settings = Settings(data_dir=tmp_path, smtp_url=f"smtp://127.0.0.1:{server.port}")
    mail.sender(settings).send("abc", "ann@x.test", letter.subject, letter.text(), letter.html())
    (found,) = server.handler.found
    parsed = email.message_from_bytes(found.as_bytes(), policy=email.policy.default)
    assert parsed.get_content_type() == "multipart/alternative"
    plain, html = (parsed.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    assert plain.split("\n\n")[1] == letter.paragraphs[0]
    assert letter.link in plain
    assert "<img" not in html
    assert "<b>" not in html
    assert "Ann &amp; Bob" in html
    assert 'href="https://cloud.test/invitations/abc?x=1&amp;y=2"' in html
    assert "Good for 7 days." in html
    assert "One<br>two." in html
