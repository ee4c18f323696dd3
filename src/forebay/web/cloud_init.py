"""cloud-init as people paste it into a form: YAML with the three keys that machines here carry out."""

import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
import yaml

from forebay.errors import BadRequest

MOST_CHARACTERS = 60_000
HEADER = "#cloud-config"
Line = Annotated[str, msgspec.Meta(min_length=1, max_length=65_536)]


class WriteFile(msgspec.Struct, forbid_unknown_fields=True):
    """A file that cloud-init writes."""

    path: Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern="^/")]
    content: str = ""
    owner: Annotated[str, msgspec.Meta(max_length=100)] = ""
    permissions: Annotated[str, msgspec.Meta(pattern=r"^(0?[0-7]{3,4})?$")] = ""
    encoding: Literal["", "b64", "gzip", "gz+b64"] = ""


class CloudConfig(msgspec.Struct, forbid_unknown_fields=True):
    """What there is in it. Anything else is refused, never dropped."""

    packages: Annotated[list[Line], msgspec.Meta(max_length=200)] = msgspec.field(default_factory=list)
    write_files: Annotated[list[WriteFile], msgspec.Meta(max_length=100)] = msgspec.field(default_factory=list)
    runcmd: Annotated[list[Line | list[str]], msgspec.Meta(max_length=200)] = msgspec.field(default_factory=list)


def parse(text: str) -> dict[str, Any] | None:
    """What is kept of it, in the provider protocol's own names; None if it asks for nothing. Raises BadRequest."""
    if not text.strip():
        return None
    try:
        found = yaml.load(text[:MOST_CHARACTERS], Loader=Plain)  # noqa: S506 - a SafeLoader
        config = msgspec.convert({} if found is None else found, CloudConfig)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise refusal(f"This is no YAML that can be read{where}.") from None
    except (msgspec.ValidationError, RecursionError, ValueError) as error:
        raise refusal(f"Only packages, write_files and runcmd can be used here: {error}.") from None
    if not (config.packages or config.write_files or config.runcmd):
        return None
    return {
        "packages": config.packages,
        "runcmd": [line if isinstance(line, str) else quoted(line) for line in config.runcmd],
        "write_files": [msgspec.structs.asdict(file) for file in config.write_files],
    }


def written(facts: Mapping[str, Any]) -> str:
    """The same as text again, for whoever launches it once more."""
    asked = {
        "packages": facts.get("packages"),
        "write_files": [
            {name: value for name, value in file.items() if value} for file in facts.get("write_files", ())
        ],
        "runcmd": facts.get("runcmd"),
    }
    found = {name: value for name, value in asked.items() if value}
    text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=1000)
    if not text.replace("\n", "").isprintable():
        # What can't be seen is spelled out: some of it is a line's end to YAML, or turns the text around.
        text = yaml.safe_dump(found, sort_keys=False, allow_unicode=False, width=1000)
    return f"{HEADER}\n{text}"


class Plain(yaml.SafeLoader):
    """Without aliases, of which a few lines can make gigabytes; modes of files stay the text that they are."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """One node. Raises YAMLError for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not taken")
        return super().compose_node(parent, index)


# "0644" without quotes is a number to YAML, and 420 to nobody.
Plain.yaml_implicit_resolvers = {
    letter: [
        (tag, pattern) for tag, pattern in found if tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:timestamp")
    ]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def quoted(words: list[str]) -> str:
    """A command that is given as a list, as a line for the shell."""
    return shlex.join(words)


def refusal(reason: str) -> BadRequest:
    """A 400 that stands beside the field."""
    return BadRequest("cloud-init can't be used like this.", details={"cloudInit": reason})
