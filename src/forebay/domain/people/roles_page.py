"""The page of the manual about roles: the table and the rules around it. `forebay docs roles` prints it."""

from forebay.domain.people import roles

BEFORE = """# Who may do what

One table in the code (`src/forebay/domain/people/roles.py`) answers this for the API, this page and the tests. What a
member may do hangs on the team's member mode: `deploy-only` members launch machines and look after their own,
`read-only` members look.

"""

AFTER = """
- A team has one owner or more; the last one can't leave, be removed or get another role. Whoever makes a team owns it;
  every account has a team of its own from the start.
- A stranger gets 404 for a team's things, the same as for what does not exist. A member without the permission gets
  403 with the permission's name and who has it.
- An API key acts as its owner, in every team where its owner is a member, with the role held there at that moment. It
  can be narrowed to some teams and some permissions, by its owner alone and never by a key; it may touch money only if
  it was made so; it never touches owners, members or keys. It is suspended while its owner's API access isn't approved.
- An operator of the platform who is no member of a team is a stranger to it. What operators do goes through
  `/api/operator/…`, or `forebay operator …` on the machine that holds the books, and it is recorded.
"""


def page() -> str:
    """The whole page as Markdown, which is `docs/roles.md`."""
    return BEFORE + roles.documentation() + AFTER
