"""The peer cedarpy: Amazon's policy language, evaluated in Rust, asked the questions that Forebay's table answers.

Its policies are written from that table, one for each cell that says yes. Each question is about a person of some
standing in a team and something that they or another has started. It is measured in both ways that it has: given the
text of policies and entities with each question, and given handles of what was parsed once.
"""

import json
import subprocess
from collections.abc import Iterator

from benchmarks.peers import installed
from forebay.domain.people.roles import TABLE, Permission, Reach, Standing

PROGRAM = """
import json, sys, time
import cedarpy
given = json.load(sys.stdin)
policies, entities = given["policies"], json.dumps(given["entities"])
if given["parses_once"]:
    policies, entities = cedarpy.PolicySet.from_str(policies), cedarpy.Entities.from_json_str(entities)
questions = given["questions"]
found = []
answers = []
for _ in range(given["rounds"]):
    began = time.thread_time()
    answers = [cedarpy.is_authorized(question, policies, entities) for question in questions]
    found.append((time.thread_time() - began) / len(questions))
allowed = [answer.allowed for answer in answers]
print(json.dumps({"microseconds": min(found) * 1e6, "allowed": allowed}))
"""


def questions() -> Iterator[tuple[Standing, Permission, bool]]:
    """All there are: who asks, for what, and whether the thing is their own."""
    for standing in Standing:
        for permission in Permission:
            for is_own in (True, False):
                yield standing, permission, is_own


def expected() -> list[bool]:
    """What our table answers."""
    answers = []
    for standing, permission, is_own in questions():
        reach = TABLE[permission].get(standing)
        answers.append(reach is Reach.all or (reach is Reach.own and is_own))
    return answers


def policies() -> str:
    """The table in Cedar's language."""
    lines = []
    for permission, row in TABLE.items():
        for standing, reach in row.items():
            condition = " when { resource.created_by == principal }" if reach is Reach.own else ""
            who = f'principal in Role::"{standing}"'
            lines.append(f'permit({who}, action == Action::"{permission}", resource){condition};')
    return "\n".join(lines)


def entities() -> list[dict[str, object]]:
    """A person of each standing, and a deployment of each of them."""
    found: list[dict[str, object]] = []
    for standing in Standing:
        found.append({"uid": {"type": "Role", "id": str(standing)}, "attrs": {}, "parents": []})
        person = {"type": "User", "id": f"u {standing}"}
        found.append({"uid": person, "attrs": {}, "parents": [{"type": "Role", "id": str(standing)}]})
        deployment = {"type": "Deployment", "id": f"d {standing}"}
        found.append({"uid": deployment, "attrs": {"created_by": {"__entity": person}}, "parents": []})
    return found


def microseconds(*, parses_once: bool, rounds: int = 20) -> float:
    """Processor time of one question, in the quickest round. Raises RuntimeError where it answers otherwise than we."""
    asked = []
    others = {standing: next(other for other in Standing if other is not standing) for standing in Standing}
    for standing, permission, is_own in questions():
        asked.append(
            {
                "principal": {"type": "User", "id": f"u {standing}"},
                "action": {"type": "Action", "id": str(permission)},
                "resource": {"type": "Deployment", "id": f"d {standing if is_own else others[standing]}"},
                "context": {},
            }
        )
    given: dict[str, object] = {"policies": policies(), "entities": entities(), "questions": asked, "rounds": rounds}
    given["parses_once"] = parses_once
    python = installed("cedar") / "python"
    done = subprocess.run([python, "-c", PROGRAM], input=json.dumps(given), capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    if answer["allowed"] != expected():
        raise RuntimeError("cedarpy answers other than the table")
    return float(answer["microseconds"])
