"""Options that say what a machine is to be: the same words wherever one is launched, or saved to be launched again."""

from pathlib import Path
from typing import Annotated

import typer

from forebay.cli.completion import template_names, volume_names

SshKey = Annotated[
    str | None, typer.Option(help="What opens it: a key of the team by name, id or fingerprint, or a .pub file.")
]
Region = Annotated[str | None, typer.Option(help="Where, if the offer is in several regions.")]
System = Annotated[str | None, typer.Option("--os", help="Its operating system, if there are several.")]
Kind = Annotated[str | None, typer.Option("--type", help="SPOT, where the offer can be launched so.")]
Label = Annotated[list[str] | None, typer.Option(help="KEY=VALUE; may be given several times.")]
Volume = Annotated[
    list[str] | None,
    typer.Option(help="A volume of the team, by name or id; may be given several times.", autocompletion=volume_names),
]
Port = Annotated[
    list[int] | None, typer.Option(help="A TCP port to be reached from outside; may be given several times.")
]
CloudInit = Annotated[
    Path | None, typer.Option(help="First boot: a file of cloud-config.", exists=True, dir_okay=False)
]
Template = Annotated[
    str | None,
    typer.Option(
        "--template",
        help="A template of the team, by name or id; other options come first.",
        autocompletion=template_names,
    ),
]
