"""Orders: what `forebay deploy` asks for. What isn't said is asked in a terminal; elsewhere it is plain, or refused."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from forebay.cli.ending import NOT_FOUND, REFUSED, end
from forebay.cli.figures import dollars
from forebay.cli.here import Here, every_page, pick, refuse_usage, visible

if TYPE_CHECKING:
    from forebay.client.offers import Offer
    from forebay.client.ssh_keys import SshKey

MAY_ADD_KEYS = ("owner", "admin")


class Asker:
    """Who asks for what isn't said: a person in a terminal, or nobody."""

    def __init__(self, here: Here, *, is_sure: bool, is_looking: bool = False) -> None:
        self.here = here
        self.is_looking = is_looking
        """Nothing comes of it: what isn't clear is left out."""
        self.is_there = sys.stdin.isatty() and not is_sure

    def choose(self, question: str, columns: Sequence[str], rows: Sequence[Sequence[str]], default: int = 0) -> int:
        """The number of the row that is chosen, from 0; the first cell of a row is its name."""
        shown = [[str(number), *row] for number, row in enumerate(rows, start=1)]
        with self.here.aside():
            self.here.rows(["", *columns], shown)
        names = [row[0].lower() for row in rows]
        while True:
            text = self.line(question, str(default + 1))
            if text.isdecimal() and 1 <= int(text) <= len(rows):
                return int(text) - 1
            if names.count(text.lower()) == 1:
                return names.index(text.lower())
            print(f"Say a number from 1 to {len(rows)}, or {columns[0].lower()} itself.", file=sys.stderr)

    def line(self, question: str, default: str = "") -> str:
        """A line; the default, which is shown if it is any, for an empty one."""
        with self.here.aside():
            return str(typer.prompt(question, default=default, show_default=bool(default))).strip()

    def confirm(self, question: str) -> None:
        """Go on unless the person says no."""
        with self.here.aside():
            typer.confirm(question, default=True, abort=True)


def team_of(here: Here, asker: Asker) -> Any:
    """The team that pays: the one that is said, else the current one, which a person may change."""
    if here.wanted_team is not None or not asker.is_there or len(here.teams) < 2:
        return here.team()
    current = next((place for place, team in enumerate(here.teams) if team.is_current_team), 0)
    rows = [[team.slug, team.name, team.role] for team in here.teams]
    return here.teams[asker.choose("Which team pays", ["Team", "Name", "My role"], rows, current)]


def offer_of(here: Here, asker: Asker, team_id: str, wanted: str | None, kind: str | None) -> tuple[str, "Offer"]:
    """The offer that is meant, of this id or chosen, and its type of GPU. Ends the program where it isn't clear."""
    from forebay.client import offers

    groups = every_page(here, offers.listed, "data", team_id=team_id, instance_type=kind)
    types = {offer.offer_id: group.gpu_type for group in groups for offer in group.offers}
    listed = [offer for group in groups for offer in group.offers]
    if wanted is None:
        found = chosen_offer(asker, {group.gpu_type: group.display_name for group in groups}, types, listed, kind)
    else:
        found = pick("offer", wanted, listed, lambda offer: [offer.name], key="offer_id")
    return types[found.offer_id], found


def chosen_offer(
    asker: Asker, names: Mapping[str, str], types: Mapping[str, str], listed: "Sequence[Offer]", kind: str | None
) -> "Offer":
    """The offer that a person chooses among those that can be launched now, the cheapest first."""
    if not asker.is_there:
        refuse_usage("Say which offer: forebay deploy OFFER. There are: forebay offers")
    free = sorted((offer for offer in listed if offer.available), key=lambda offer: price_of(offer, kind))
    if not free:
        end("Nothing can be launched now. What there would be: forebay offers", REFUSED)
    rows = [
        [
            offer.offer_id,
            f"{offer.gpu_count} × {names[types[offer.offer_id]]}" if offer.gpu_count else "–",
            str(offer.vcpus),
            f"{offer.memory} GB",
            f"{offer.storage} GB",
            offer.region,
            dollars(price_of(offer, kind)),
        ]
        for offer in free
    ]
    columns = ["Offer", "GPU", "vCPUs", "Memory", "Disk", "Region", "An hour"]
    return free[asker.choose("Which offer", columns, rows)]


def price_of(offer: "Offer", kind: str | None) -> float:
    """What it costs an hour, launched as is asked for."""
    return offer.spot_price if kind == "SPOT" and offer.spot_price is not None else offer.price


def one_of(asker: Asker, noun: str, wanted: str | None, possible: Sequence[str]) -> str:
    """One of an offer's regions or operating systems: what is said, what is chosen, or the first."""
    if wanted is not None:
        return next((each for each in possible if each.lower() == wanted.lower()), wanted)
    if len(possible) < 2 or not asker.is_there:
        return possible[0]
    return possible[asker.choose(f"Which {noun}", [noun.capitalize()], [[each] for each in possible])]


def order_of(
    here: Here, asker: Asker, team: Any, offer: str | None, template: str | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What is to be launched, and where: of an offer, or of a template; `options` as they are typed, if they are.

    Ends the program where it isn't clear.
    """
    base = {} if template is None else saved_order(here, team.id, template)
    kind, region, system = options["kind"], options["region"], options["system"]
    if offer is None and kind is None and base.get("provider"):
        if region is not None:
            base["region"] = region
        if system is not None:
            base["operating_system"] = system
        return base
    gpu_type, found = offer_of(here, asker, team.id, offer, kind)
    kept = base.get("operating_system")
    return base | {
        "team_id": team.id,
        "provider": found.provider,
        "offer_id": found.offer_id,
        "gpu_type": gpu_type,
        "gpu_count": found.gpu_count,
        "region": one_of(asker, "region", region, found.clusters),
        "operating_system": one_of(
            asker, "system", system or (kept if kept in found.os_options else None), found.os_options
        ),
        "instance_type": kind or found.instance_type,
    }


def template_of(here: Here, team_id: str, wanted: str) -> Any:
    """The team's template that is meant. Ends the program where there is none."""
    from forebay.client import launch_templates

    return pick("template", wanted, here.ask(launch_templates.listed(team_id)).templates, lambda one: (one.name,))


def saved_order(here: Here, team_id: str, wanted: str) -> dict[str, Any]:
    """What a template launches now, as the client takes it; what of it is gone is said."""
    import msgspec

    from forebay.client import launch_templates

    found = here.ask(launch_templates.show(team_id, template_of(here, team_id, wanted).id))
    if found.launch is None:
        end("You may not launch in this team.", NOT_FOUND)
    for problem in found.problems:
        print(visible(f"Note: {problem.message}"), file=sys.stderr)
    order = msgspec.structs.asdict(found.launch)
    if any(problem.field == "sshKeyId" for problem in found.problems):
        order["ssh_key_id"] = None
    return order


# The key that opens it.


def own_keys() -> dict[str, Path]:
    """Public keys in this home whose private halves are there too: by their `type base64`, the files."""
    found = {}
    for path in sorted((Path.home() / ".ssh").glob("*.pub")):
        words = text_of(path).split()
        if len(words) > 1 and path.with_suffix("").exists():
            found[" ".join(words[:2])] = path
    return found


def file_of(public_key: str | None) -> Path | None:
    """The file in this home that holds the key."""
    return None if public_key is None else own_keys().get(" ".join(public_key.split()[:2]))


def text_of(path: Path) -> str:
    """A file's text; nothing where it can't be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def bare(key: "SshKey") -> str:
    """A team's key without its comment."""
    return " ".join(key.public_key.split()[:2])


def key_of(here: Here, asker: Asker, team: Any, wanted: str | None) -> dict[str, str]:
    """The key that opens the machine, as the client takes it. Ends the program where it isn't clear."""
    from forebay.client import ssh_keys

    listed = here.ask(ssh_keys.listed(team_id=team.id))
    if wanted is not None:
        return named_key(listed, wanted)
    mine = own_keys()
    fitting = [key for key in listed if bare(key) in mine]
    known = {bare(key) for key in listed}
    others = [path for words, path in mine.items() if words not in known]
    if asker.is_there and not asker.is_looking:
        return asked_key(here, asker, team, listed, fitting, others)
    if fitting or len(listed) == 1:
        return {"ssh_key_id": (fitting or listed)[0].id}
    if not listed and len(others) == 1:
        return {"ssh_public_key": text_of(others[0])}
    if asker.is_looking:
        return {"ssh_key_id": listed[0].id} if listed else {}
    refuse_usage("Say which key opens it: --ssh-key KEY, one of the team's (forebay ssh-keys) or a .pub file.")


def named_key(listed: "Sequence[SshKey]", wanted: str) -> dict[str, str]:
    """A key of the team, or the public key in a file: that of the team if it has the same."""
    path = Path(wanted).expanduser()
    if not path.is_file():
        found = pick("SSH key", wanted, listed, lambda one: (one.name, one.fingerprint))
        return {"ssh_key_id": found.id}
    text = text_of(path)
    if "PRIVATE KEY" in text:
        refuse_usage(f"{visible(wanted)} is a private key, which stays with you. Give the public one: {wanted}.pub")
    same = next((key for key in listed if bare(key) == " ".join(text.split()[:2])), None)
    return {"ssh_public_key": text} if same is None else {"ssh_key_id": same.id}


def asked_key(
    here: Here, asker: Asker, team: Any, listed: "Sequence[SshKey]", fitting: "Sequence[SshKey]", others: Sequence[Path]
) -> dict[str, str]:
    """The key that a person chooses, among the team's and their own; one of their own may join the team's."""
    from forebay.client import ssh_keys

    may_add = team.role in MAY_ADD_KEYS
    how = f"is added to {team.name}" if may_add else "for this machine alone"
    ordered = [*fitting, *(key for key in listed if key not in fitting)]
    rows = [[key.name, key.fingerprint, "yours" if key in fitting else ""] for key in ordered]
    rows += [[str(path), "", how] for path in others]
    if not rows:
        end("There is no SSH key, in the team or here. Make one with: ssh-keygen -t ed25519", REFUSED)
    # A person's own key first: with another's they couldn't get in.
    default = len(ordered) if others and not fitting else 0
    place = asker.choose("Which key opens it", ["Key", "Fingerprint", ""], rows, default) if len(rows) > 1 else 0
    if place < len(ordered):
        return {"ssh_key_id": ordered[place].id}
    path = others[place - len(ordered)]
    if not may_add:
        return {"ssh_public_key": text_of(path)}
    comment = text_of(path).split(maxsplit=2)[2:]
    added = here.ask(ssh_keys.add(comment[0] if comment else path.stem, text_of(path), team_id=team.id))
    print(visible(f"{added.name} {added.fingerprint} belongs to {team.name} now."), file=sys.stderr)
    return {"ssh_key_id": added.id}


# What else there is.


def volumes_of(here: Here, team_id: str, wanted: Sequence[str] | None) -> list[str] | None:
    """The ids of the team's volumes that are meant. Ends the program where one isn't clear."""
    from forebay.client import volumes

    if not wanted:
        return None
    listed = every_page(here, volumes.listed, "volumes", team_id=team_id)
    return [pick("volume", each, listed, lambda one: [one.name]).id for each in wanted]


def labels_of(texts: Sequence[str] | None) -> dict[str, str] | None:
    """Labels as they are typed. Ends the program for what is none."""
    found = {}
    for text in texts or ():
        key, has_value, value = text.partition("=")
        if not has_value:
            refuse_usage(f"{visible(text)!r} is no label: say KEY=VALUE.")
        found[key] = value
    return found or None


def cloud_init_of(path: Path | None) -> dict[str, Any] | None:
    """First boot, from a file of YAML or JSON, in the words of cloud-config or of the API."""
    if path is None:
        return None
    import shlex

    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as reason:
        refuse_usage(f"{path} can't be read: {visible(str(reason))}")
    if not isinstance(found, dict):
        refuse_usage(f"{path} holds no cloud-config: packages, runcmd, write_files.")
    if "write_files" in found:
        found["writeFiles"] = found.pop("write_files")
    if isinstance(found.get("runcmd"), list):
        found["runcmd"] = [shlex.join(map(str, each)) if isinstance(each, list) else each for each in found["runcmd"]]
    return found
