"""What stands in mails about invitations: who asks whom into what, and nothing that a mail program would act on."""

import pytest

from forebay.domain.people import invitation_letters
from forebay.domain.people.letters import plain
from forebay.domain.people.roles import MemberMode, Role, standing

LINK = "https://cloud.test/invitations?token=fby_in_x"


def test_every_role_is_explained() -> None:
    seen = set()
    for role in Role:
        for mode in MemberMode:
            letter = invitation_letters.invitation(
                team="Lab", inviter="Olga", inviter_email="o@x.test", standing=standing(role, mode), link=LINK, days=7
            )
            text = letter.text()
            assert (
                f"invites you to the team “Lab” on Forebay, as {'a' if role is Role.member else 'an'} {role}." in text
            )
            assert LINK in text
            assert "7 days" in text
            assert text.startswith("Hello,\n")
            seen.add(letter.paragraphs[1])
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Vision Lab", "Vision Lab"),
        ("J. R. R. Tolkien", "J. R. R. Tolkien"),
        ("a\r\nBcc: b@x.test", "aBcc: b@x\u2024test"),
        ("pay at https://evil.example/x now", "pay at https evil\u2024example/x now"),
        ("evil\u202etxt.exe", "eviltxt\u2024exe"),
        ("\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
        ("x" * 500, "x" * 120),
    ],
)
def test_names_are_one_line_and_no_link(name: str, shown: str) -> None:
    assert plain(name) == shown
