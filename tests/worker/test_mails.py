"""Mails go out once, are tried again when they don't, and none stands in the way of another."""

import pytest
import sqlalchemy as sa

from forebay.domain.people import mails
from forebay.mail import MailNotSent
from forebay.storage import tables
from forebay.storage.database import Database
from tests.worker.stage import Stage


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


def queue(stage: Stage, *names: str) -> None:
    with stage.database.begin() as connection:
        for name in names:
            mails.queue(connection, recipient="a@example.org", subject=name, text="a secret", now=stage.clock.now())


def sent(stage: Stage) -> list[str]:
    return [subject for _, _, subject in stage.outbox.sent]


def test_each_is_sent_once_and_its_text_forgotten(stage: Stage) -> None:
    queue(stage, "one", "two")
    assert stage.forebay.mails.run() == 2
    for _ in range(3):
        stage.clock.pass_(600)
        assert stage.forebay.mails.run() == 0
    assert sorted(sent(stage)) == ["one", "two"]
    with stage.database.read() as connection:
        rows = connection.execute(sa.select(tables.mails.c.text, tables.mails.c.sent_at)).all()
    assert all(row.text == "" and row.sent_at for row in rows)


def test_what_is_not_sent_is_tried_again_less_and_less_often(stage: Stage) -> None:
    queue(stage, "one")
    stage.outbox.refusal = MailNotSent("no server")
    for _ in range(360):
        stage.forebay.mails.run()
        stage.clock.pass_(10)
    with stage.database.read() as connection:
        row = connection.execute(sa.select(tables.mails)).one()
    assert 5 <= row.attempts <= 8
    assert row.error == "no server"
    assert stage.alerts() == [("mail", "sending")]
    stage.outbox.refusal = None
    stage.clock.pass_(3600)
    stage.forebay.mails.run()
    assert sent(stage) == ["one"]
    assert stage.alerts() == []


@pytest.mark.parametrize("refusal", [MailNotSent("not this one"), ValueError("a line break in the address")])
def test_one_that_can_not_be_sent_does_not_keep_the_others(stage: Stage, refusal: Exception) -> None:
    queue(stage, "bad", *(f"good {number}" for number in range(30)))
    stage.outbox.refusal, stage.outbox.refused = refusal, lambda subject: subject == "bad"
    while stage.forebay.mails.run():
        pass
    assert len(sent(stage)) == 30


def test_one_that_was_taken_by_a_process_that_died_goes_out_later_with_the_same_id(stage: Stage) -> None:
    queue(stage, "one")
    with stage.database.begin() as connection:
        [taken] = mails.take_due(connection, now=stage.clock.now())
    stage.restart()
    assert stage.forebay.mails.run() == 0
    stage.clock.pass_(mails.SENDING_SECONDS)
    assert stage.forebay.mails.run() == 1
    assert [message_id for message_id, _, _ in stage.outbox.sent] == [taken.id]
