"""Who is in the crowd: people, teams, invitations, and what the owner comes in with."""

from typing import Any

from forebay.domain.people import credentials, invitations
from tests.web.crowd.filling import DAY, MINUTE, Filling


def write_people(it: Filling) -> str:
    """Users, teams, memberships, invitations; sessions, API keys and passkeys of the owner."""
    owner = it.id(it.begin)
    rows: list[dict[str, Any]] = [{"id": owner, "name": "Olga Owner", "email": "olga@example.org", "is_operator": True}]
    members = []
    for team_id in it.team_ids:
        mine = [it.id(it.begin) for _ in range(it.number(team_id, 2 * it.size.things // 5 + 10))]
        it.people[team_id] = [owner, *mine]
        rows += [
            {"id": each, "name": f"Person {each[-5:]}", "email": f"{each}@example.org", "is_operator": False}
            for each in mine
        ]
        members += [(team_id, user_id) for user_id in it.people[team_id]]
    more = {"api_access": "approved", "verified_at": it.begin, "created_at": it.begin}
    requested = ["requested" if number % 9 == 5 else "approved" for number in range(len(rows))]
    it.pen.write(
        "users",
        (
            {**row, **more, "email_key": row["email"], "api_access": access, "current_team_id": it.large}
            for row, access in zip(rows, requested, strict=True)
        ),
    )
    it.pen.write(
        "teams",
        (
            {"id": team_id, "number": number, "slug": f"team-{number}", "name": f"Team {number}",
             "created_by": owner, "created_at": it.begin}
            for number, team_id in enumerate(it.team_ids)
        ),
    )  # fmt: skip
    it.pen.write(
        "memberships",
        (
            {"team_id": team_id, "user_id": user_id, "role": "owner" if user_id == owner else "member"}
            for team_id, user_id in members
        ),
    )
    it.names |= {"user_id": it.people[it.large][1]}
    write_invitations(it)
    return write_credentials(it, owner)


def write_invitations(it: Filling) -> None:
    """A quarter of them open; the first is the owner's own to accept."""
    token = credentials.new_token(invitations.PREFIX)
    rows: list[dict[str, Any]] = [
        {"id": it.id(it.end), "team_id": team_id, "email": f"{number}@example.net",
         "email_key": f"{number}@example.net", "state": "accepted" if number % 4 else "pending",
         "token_hash": f"{team_id}{number}", "invited_by": it.people[team_id][0],
         "created_at": it.end - number, "sent_at": it.end - number, "expires_at": it.end + DAY}
        for team_id in it.team_ids
        for number in range(it.number(team_id, it.size.things // 2))
    ]  # fmt: skip
    rows[0]["token_hash"] = credentials.hash_token(token, it.secret_key)
    it.pen.write("invitations", rows)
    it.names["invitation_token"] = token
    it.names["invitation_id"] = rows[0]["id"]


def write_credentials(it: Filling, owner: str) -> str:
    """Forty sessions and as many keys of the owner's; the token of one."""
    token = credentials.new_token(credentials.SESSION_PREFIX)
    hashed = credentials.hash_token(token, it.secret_key)
    it.pen.write(
        "sessions",
        (
            {"id": it.id(it.end), "user_id": owner, "token_hash": hashed if number == 0 else f"{number}",
             "created_at": it.end, "expires_at": it.end + 7 * DAY, "authenticated_at": it.end + MINUTE,
             "last_seen_at": it.end, "kind": "browser"}
            for number in range(40)
        ),
    )  # fmt: skip
    keys: list[dict[str, Any]] = [
        {"id": it.id(it.end), "user_id": owner, "name": f"key {number}", "secret_hash": f"{number}",
         "first_characters": "fb_abc", "last_characters": "wxyz", "created_at": it.begin,
         "current_team_id": it.large}
        for number in range(40)
    ]  # fmt: skip
    it.pen.write("api_keys", keys)
    it.names["api_key_id"] = keys[0]["id"]
    return token
