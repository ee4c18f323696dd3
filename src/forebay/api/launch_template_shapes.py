"""What templates look like on the wire: what is taken, what is answered, and one of the domain's written as that."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from forebay.api.deployment_shapes import CloudInit, Dollars, Minutes, WriteFile
from forebay.api.deployments import cloud_init_facts, micros
from forebay.api.envelope import Input, Wire, iso_at
from forebay.domain.machines.blueprints import MOST_MINUTES
from forebay.domain.machines.launch_templates import LaunchTemplate
from forebay.domain.machines.orders import Order
from forebay.domain.machines.template_standings import Standing
from forebay.domain.money.amounts import to_dollars

Word = Annotated[str, msgspec.Meta(max_length=200)]
Stretch = Annotated[int, msgspec.Meta(ge=1, le=MOST_MINUTES)]
Ids = Annotated[list[Annotated[str, msgspec.Meta(max_length=120)]], msgspec.Meta(max_length=100)]
Action = Literal["stop", "terminate"]


class TemplateFields(Input):
    """What a template keeps of a launch. Null: nothing of the kind, or as the offer has it."""

    instance_type: Word | UnsetType | None = UNSET
    region: Word | UnsetType | None = UNSET
    operating_system: Word | UnsetType | None = UNSET
    ssh_key_id: Word | UnsetType | None = UNSET
    """A key of the team; null: it is chosen at each launch."""
    deployment_name: Word | UnsetType | None = UNSET
    """What its machines are called. `{n}` becomes the next number, `{date}` the day in UTC."""
    labels: dict[str, str] | UnsetType | None = UNSET
    volume_ids: Ids | UnsetType | None = UNSET
    ports: Annotated[list[int], msgspec.Meta(max_length=1000)] | UnsetType | None = UNSET
    terminate_after_minutes: Stretch | UnsetType | None = UNSET
    """Terminate the machine so long after its launch."""
    max_cost: Dollars | UnsetType | None = UNSET
    auto_stop_minutes: Minutes | UnsetType | None = UNSET
    auto_stop_action: Action | UnsetType | None = UNSET
    cloud_init: CloudInit | UnsetType | None = UNSET


class NewTemplate(TemplateFields, kw_only=True):
    """A launch to save: of an offer, or as a machine of the team was launched. What is given beside that counts."""

    name: Word
    """Once in the team, whatever its case."""
    deployment_id: Word | None = None
    offer_id: Word | None = None


class ChangedTemplate(TemplateFields):
    """What is to be different; what is left out stays."""

    name: Word | UnsetType = UNSET
    offer_id: Word | UnsetType = UNSET


class TemplateProblem(Wire):
    """Something that the template names and that isn't so any more."""

    field: str
    """As in the body of a launch."""
    message: str


class Template(Wire):
    """A launch that a team has saved, and how it stands at this moment."""

    id: str
    team_id: str
    name: str
    offer_id: str
    gpu_type: str
    gpu_count: int
    instance_type: str
    region: str
    operating_system: str
    ssh_key_id: str | None
    deployment_name: str | None
    labels: dict[str, str]
    volume_ids: list[str]
    ports: list[int]
    terminate_after_minutes: int | None
    max_cost: float | None
    auto_stop_minutes: int | None
    auto_stop_action: Action | None
    has_cloud_init: bool
    created_by: str
    created_at: str
    changed_at: str
    last_used_at: str | None
    hourly_rate: float | None
    """What a machine of it costs the team now, in dollars; null: its offer is gone."""
    in_stock: int
    problems: list[TemplateProblem]


class Templates(Wire):
    """All of a team, what was used or made last first."""

    templates: list[Template]


class TemplateLaunch(Wire):
    """The body of `POST /api/deployments` that launches it now, the machine's name filled in."""

    team_id: str
    template_id: str
    provider: str
    """Empty where the offer is gone: choose another one."""
    offer_id: str
    gpu_type: str
    gpu_count: int
    region: str
    operating_system: str
    instance_type: str
    ssh_key_id: str | None
    name: str | None
    labels: dict[str, str]
    volume_ids: list[str]
    ports: list[int]
    terminate_at: str | None
    max_cost: float | None
    auto_stop_minutes: int | None
    auto_stop_action: Action | None
    cloud_init: CloudInit | None


class WholeTemplate(Template):
    """With what it would launch, for those who may launch; to others both are null."""

    cloud_init: CloudInit | None
    launch: TemplateLaunch | None


RENAMED = {"deployment_name": "machine_name"}
EMPTY: dict[str, Any] = {"instance_type": "", "region": "", "operating_system": "", "labels": {}, "ports": ()}
"""What null is for what can't be None."""


def given_of(body: TemplateFields) -> dict[str, Any]:
    """What is given, as the domain has it. Raises BadRequest."""
    given: dict[str, Any] = {}
    for name in TemplateFields.__struct_fields__:
        value = getattr(body, name)
        if value is UNSET:
            continue
        if value is None:
            value = EMPTY.get(name)
        elif name == "cloud_init":
            value = cloud_init_facts(value)
        given[RENAMED.get(name, name)] = value
    if "max_cost" in given:
        most = given.pop("max_cost")
        given["max_cost_micros"] = None if most is None else micros(most)
    if "volume_ids" in given:
        given["volume_ids"] = list(dict.fromkeys(given["volume_ids"] or ()))
    if given.get("auto_stop_minutes", 0) is None:
        given.setdefault("auto_stop_action", None)
    return given


def to_cloud_init(facts: Any) -> CloudInit | None:
    """First boot as clients write it."""
    if facts is None:
        return None
    return CloudInit(
        packages=facts.get("packages", []),
        runcmd=facts.get("runcmd", []),
        write_files=[WriteFile(**file) for file in facts.get("write_files", [])],
    )


def dollars(amount_micros: int | None) -> float | None:
    """An amount, if there is one."""
    return None if amount_micros is None else to_dollars(amount_micros)


def to_wire(found: LaunchTemplate, standing: Standing, kind: type[Template] = Template, **more: Any) -> Any:
    """A template as clients see it."""
    return kind(
        id=found.id,
        team_id=found.team_id,
        name=found.name,
        offer_id=found.offer_id,
        gpu_type=found.gpu_type,
        gpu_count=found.gpu_count,
        instance_type=found.instance_type,
        region=found.region,
        operating_system=found.operating_system,
        ssh_key_id=found.ssh_key_id,
        deployment_name=found.machine_name,
        labels=dict(found.labels),
        volume_ids=list(found.volume_ids),
        ports=list(found.ports),
        terminate_after_minutes=found.terminate_after_minutes,
        max_cost=dollars(found.max_cost_micros),
        auto_stop_minutes=found.auto_stop_minutes,
        auto_stop_action=found.auto_stop_action,
        has_cloud_init=found.cloud_init is not None,
        created_by=found.created_by,
        created_at=iso_at(found.created_at) or "",
        changed_at=iso_at(found.changed_at) or "",
        last_used_at=iso_at(found.last_used_at),
        hourly_rate=None if standing.price is None else to_dollars(standing.price.rate_micros),
        in_stock=standing.free,
        problems=[TemplateProblem(field=field, message=words) for field, words in standing.problems.items()],
        **more,
    )


def to_launch(found: LaunchTemplate, order: Order) -> TemplateLaunch:
    """An order as the body of a launch."""
    return TemplateLaunch(
        team_id=found.team_id,
        template_id=found.id,
        provider=order.provider,
        offer_id=order.offer_id,
        gpu_type=order.gpu_type,
        gpu_count=order.gpu_count,
        region=order.region,
        operating_system=order.operating_system,
        instance_type=order.instance_type,
        ssh_key_id=order.ssh_key_id,
        name=order.name,
        labels=dict(order.labels),
        volume_ids=list(order.volume_ids),
        ports=list(order.ports),
        terminate_at=iso_at(order.terms.terminate_at),
        max_cost=dollars(order.terms.max_cost_micros),
        auto_stop_minutes=order.terms.auto_stop_minutes,
        auto_stop_action=order.terms.auto_stop_action,
        cloud_init=to_cloud_init(order.cloud_init),
    )
