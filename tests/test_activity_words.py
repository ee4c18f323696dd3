"""Every action that the code can record has words, and no words are left of what it can't."""

import re

from forebay.domain.people.activity import DENIED
from forebay.domain.people.activity_log import Row
from forebay.domain.people.activity_words import WORDS, about, sentence
from tests.recorded_actions import Code

PAST = re.compile(r"(\w+ed|was|took|made|let|chose|left|set|gave|froze|sent|kept|saw|told|began|withdrew)( |$)")


def row(action: str, **more: object) -> Row:
    """One that says what a test needs, and nothing else."""
    nothing = dict.fromkeys(Row.__struct_fields__)
    return Row(**nothing | {"action": action, "outcome": "done"} | more)  # type: ignore[arg-type]


def test_every_action_has_words_and_every_word_its_action() -> None:
    found = Code().actions()
    assert len(found) > 100, "the code is read"
    assert {"deployment.launch", "ssh-key.add", "credits.grant", "auto-top-up.stop"} <= found
    assert found - set(WORDS) == {DENIED}, "say in activity_words.py what was done"
    assert set(WORDS) <= found, "nothing is recorded under these any more"


def test_words_are_of_the_past_and_no_codes() -> None:
    for action, words in WORDS.items():
        assert PAST.match(words), (action, words)
        assert ":" not in words, (action, words)
        assert len(action) <= 60, "as its column"


def test_a_sentence_says_what_to_whom_and_where_from() -> None:
    details = {"name": "laptop", "source": "GitHub", "user": "octocat"}
    added = row("ssh-key.add", details=details, object_name="renamed since")
    assert (sentence(added), about(added)) == ("added an SSH key from octocat at GitHub", "laptop")
    role = row("member.change-role", details={"role": "admin"}, object_type="account", object_name="Mia")
    assert (sentence(role), about(role)) == ("changed a role", "Mia: admin")
    left = row(
        "member.leave",
        details={"role": "admin"},
        object_type="account",
        object_id="mia",
        user_id="mia",
        object_name="Mia",
    )
    assert about(left) == "admin", "who left is said as who did it"
    frozen = row("team.freeze", details={"reason": "an inquiry"}, object_type="team", object_name="Lab")
    assert about(frozen) == "an inquiry"
    assert sentence(row("operator.look", object_type="price-rules")) == "looked at price rules"
    assert sentence(row(DENIED, details={"permission": "team.rename"}, outcome="denied")) == "was refused: team.rename"
    assert sentence(row("gone.by-now")) == "gone: by now", "what an earlier version wrote is still shown"
