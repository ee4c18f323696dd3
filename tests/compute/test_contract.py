"""What every provider promises, asked of each of them."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from forebay.compute.base import (
    Busy,
    Instance,
    InstanceState,
    LaunchSpec,
    LogKind,
    OutOfStock,
    Provider,
    Rejected,
    Shell,
    Volume,
    VolumeMount,
    VolumeSpec,
)
from forebay.compute.memory import MemoryProvider
from tests.compute.conftest import PATIENCE_SECONDS, end

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJc2fH4nT9qQ7HqVwb2tS3sZ6m4l1l7v0o0Kk1J5x3n a@b"


@pytest.fixture(params=["memory", pytest.param("local", marks=pytest.mark.podman)])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    """Each provider in turn, empty before and after."""
    found: Provider
    if request.param == "memory":
        found = MemoryProvider(lambda: datetime.now(UTC))
    else:
        found = request.getfixturevalue("local_provider")
    found.prepare()
    yield found
    for instance in found.observe():
        end(found, instance.deployment_id)
    for volume in found.observe_volumes():
        found.delete_volume(volume.volume_id)


@pytest.fixture
def spec(provider: Provider) -> Callable[[str], LaunchSpec]:
    """Specs for the provider's smallest offer."""
    offer = min(provider.offers(), key=lambda offer: (offer.gpu_count, offer.memory_gb))

    def make(deployment_id: str) -> LaunchSpec:
        return LaunchSpec(
            deployment_id=deployment_id, team_id="team-1", team_number=1, hostname="machine", offer_id=offer.offer_id,
            pool=offer.pool, operating_system=offer.os_options[0], vcpus=offer.vcpus, memory_gb=offer.memory_gb,
            storage_gb=offer.storage_gb, gpu_type=offer.gpu_type, gpu_count=0, authorized_keys=(KEY,),
        )  # fmt: skip

    return make


def inspected(provider: Provider, deployment_id: str) -> Instance:
    """The instance, which must be there."""
    instance = provider.inspect(deployment_id)
    assert instance is not None
    return instance


def observed(provider: Provider) -> dict[str, InstanceState]:
    """What `observe` says, by deployment."""
    return {instance.deployment_id: instance.state for instance in provider.observe()}


def test_offers_fit_into_their_pools(provider: Provider) -> None:
    pools = {pool.name: pool for pool in provider.pools()}
    offers = provider.offers()
    assert len({offer.offer_id for offer in offers}) == len(offers) > 0
    for offer in offers:
        pool = pools[offer.pool]
        assert 0 < offer.vcpus <= pool.vcpus
        assert 0 < offer.memory_gb <= pool.memory_gb
        assert 0 < offer.storage_gb <= pool.storage_gb
        assert 0 <= offer.gpu_count <= pool.gpus
        assert offer.rate_micros > 0
        assert offer.storage_rate_micros >= 0
        assert offer.os_options
        assert not offer.is_maintenance
        assert not offer.is_simulated or "SIMULATED" in offer.name + offer.gpu_type


def test_launch_makes_one_machine_however_often_it_is_asked(
    provider: Provider, spec: Callable[[str], LaunchSpec]
) -> None:
    provider.launch(spec("one"))
    first = inspected(provider, "one")
    provider.launch(spec("one"))
    assert observed(provider) == {"one": InstanceState.running}
    again = inspected(provider, "one")
    assert (again.started_at, again.ssh_port, again.team_id) == (first.started_at, first.ssh_port, "team-1")


def test_a_running_machine_says_how_to_reach_it(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    provider.launch(spec("one"))
    until = time.monotonic() + PATIENCE_SECONDS
    while not (instance := inspected(provider, "one")).host_keys and time.monotonic() < until:
        time.sleep(0.02)
    assert instance.address
    assert instance.user
    assert instance.ssh_port
    assert (instance.ssh_port, 22) in [(forward.external, forward.internal) for forward in instance.port_forwards]
    assert all(len(host_key.split()) == 2 for host_key in instance.host_keys)
    assert instance.host_keys
    assert instance.started_at is not None
    assert before <= instance.started_at <= datetime.now(UTC)
    assert instance.stopped_at is None


def test_stop_and_start_may_be_repeated(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    provider.launch(spec("one"))
    port = inspected(provider, "one").ssh_port
    for _ in range(2):
        provider.stop("one")
        stopped = inspected(provider, "one")
        assert stopped.state is InstanceState.stopped
        assert stopped.started_at is not None
        assert stopped.stopped_at is not None
        assert stopped.started_at <= stopped.stopped_at <= datetime.now(UTC)
        assert stopped.exit_reason is None
    assert observed(provider) == {"one": InstanceState.stopped}
    for _ in range(2):
        provider.start("one")
        started = inspected(provider, "one")
        assert started.state is InstanceState.running
        assert started.stopped_at is None
    assert started.ssh_port == port


def test_launch_leaves_a_stopped_machine_as_it_is(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    provider.launch(spec("one"))
    provider.stop("one")
    provider.launch(spec("one"))
    assert observed(provider) == {"one": InstanceState.stopped}


def test_the_end_may_be_repeated_and_leaves_nothing(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    provider.launch(spec("one"))
    end(provider, "one")
    assert provider.inspect("one") is None
    assert observed(provider) == {}
    end(provider, "one")
    end(provider, "never-was")


def shown(shell: Shell, text: bytes) -> bytes:
    """What a terminal shows until `text` has come twice: as it was typed, and as it was answered."""
    found = b""
    until = time.monotonic() + PATIENCE_SECONDS
    while found.count(text) < 2:
        part = shell.read(0.5)
        assert part != b"", found
        assert time.monotonic() < until, found
        found += part or b""
    return found


def test_a_shell_shows_what_commands_say_until_it_ends(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    assert provider.capabilities.terminal
    provider.launch(spec("one"))
    first, second = provider.open_shell("one", 100, 30), provider.open_shell("one")
    first.write(b"echo one\n")
    second.write(b"echo two\n")
    shown(second, b"two")
    assert b"two" not in shown(first, b"one")
    for columns, rows in ((132, 50), (10**9, -1), (80, 24)):
        first.resize(columns, rows)
    while first.read(0.2) is not None:
        pass
    first.write(b"exit\n")
    until = time.monotonic() + PATIENCE_SECONDS
    while first.read(0.5) != b"":
        assert time.monotonic() < until
    first.write(b"after the end\n")
    first.resize(80, 24)
    for shell in (first, second, first, second):
        shell.close()
    assert second.read(5) == b""
    assert observed(provider) == {"one": InstanceState.running}


def test_who_reads_a_shell_is_told_when_it_is_closed(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    provider.launch(spec("one"))
    shell = provider.open_shell("one")
    while shell.read(0.5) is not None:
        pass
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(shell.read)
        shell.close()
        assert reading.result(timeout=10) == b""


def test_a_shell_ends_with_its_machine(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    provider.launch(spec("one"))
    shell = provider.open_shell("one")
    end(provider, "one")
    until = time.monotonic() + PATIENCE_SECONDS
    while shell.read(0.5) != b"":
        assert time.monotonic() < until
    shell.close()


def test_a_machine_that_does_not_run_has_no_shell(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    provider.launch(spec("one"))
    provider.stop("one")
    for deployment_id in ("one", "gone"):
        with pytest.raises(Rejected):
            provider.open_shell(deployment_id)


def test_a_notice_ends_no_machine_and_may_be_repeated(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    assert provider.capabilities.notice
    provider.launch(spec("one"))
    at = datetime.now(UTC) + timedelta(seconds=120)
    for _ in range(2):
        provider.warn("one", "Its capacity is needed", at)
    assert observed(provider) == {"one": InstanceState.running}
    provider.stop("one")
    provider.warn("one", "Its capacity is needed", at)
    provider.warn("gone", "Its capacity is needed", at)
    assert observed(provider) == {"one": InstanceState.stopped}


def test_usage_is_of_what_was_seen_to_run(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    for name in ("one", "two"):
        provider.launch(spec(name))
    assert observed(provider) == dict.fromkeys(("one", "two"), InstanceState.running)
    first = {usage.deployment_id: usage for usage in provider.usage()}
    second = {usage.deployment_id: usage for usage in provider.usage()}
    assert set(first) == set(second) == {"one", "two"}
    for name, usage in first.items():
        assert 0 <= usage.cpu_seconds <= second[name].cpu_seconds < PATIENCE_SECONDS
        assert (usage.gpu_busy, usage.untouched_seconds) == (None, None)
    provider.stop("one")
    assert [usage.deployment_id for usage in provider.usage()] == ["two"]
    assert observed(provider) == {"one": InstanceState.stopped, "two": InstanceState.running}
    assert [usage.deployment_id for usage in provider.usage()] == ["two"]


def test_what_is_gone_cannot_be_brought_back(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    assert provider.inspect("gone") is None
    provider.stop("gone")
    with pytest.raises(Rejected):
        provider.start("gone")
    with pytest.raises(Rejected):
        provider.set_authorized_keys("gone", [KEY])
    assert provider.cloud_init_outcome("gone") is None


def test_keys_are_read_back_as_they_were_put_there(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    assert provider.capabilities.live_keys
    other = KEY[:-8] + "4n b@c"
    provider.launch(spec("one"))
    until = time.monotonic() + PATIENCE_SECONDS
    while not inspected(provider, "one").host_keys and time.monotonic() < until:
        time.sleep(0.02)
    assert [key.line for key in provider.authorized_keys("one")] == [KEY]
    for keys in ([KEY, other], [other]):
        provider.set_authorized_keys("one", keys, [KEY] if KEY not in keys else [])
        assert [key.line for key in provider.authorized_keys("one")] == keys
    provider.stop("one")
    provider.set_authorized_keys("one", [])
    assert provider.authorized_keys("one") == []
    assert provider.end_sessions("one", ["SHA256:nobody"]) == 0
    assert provider.end_sessions("gone", ["SHA256:nobody"]) == 0
    with pytest.raises(Rejected):
        provider.authorized_keys("gone")


def test_ports_are_the_machine_s_from_launch_to_end(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    assert provider.capabilities.ports
    provider.launch(msgspec.structs.replace(spec("one"), ports=(8080, 443)))
    forwards = inspected(provider, "one").port_forwards
    assert [forward.internal for forward in forwards] == [22, 8080, 443]
    assert len({forward.external for forward in forwards}) == 3
    provider.stop("one")
    provider.start("one")
    assert inspected(provider, "one").port_forwards == forwards
    assert [instance.port_forwards for instance in provider.observe()] == [forwards]


def test_a_log_goes_on_where_its_cursor_stands(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    provider.launch(spec("one"))
    until = time.monotonic() + PATIENCE_SECONDS
    while not inspected(provider, "one").host_keys and time.monotonic() < until:
        time.sleep(0.02)
    first = provider.read_log("one", LogKind.console)
    assert first is not None
    assert first.text.endswith("\n")
    assert not first.is_cut
    assert len(first.cursor) <= 60
    again = provider.read_log("one", LogKind.console, after="another-1")
    assert again is not None
    assert again.is_cut
    assert again.text.startswith(first.text)
    nothing = provider.read_log("one", LogKind.cloud_init)
    assert nothing is not None
    assert nothing.text == ""
    assert provider.read_log("gone", LogKind.console) is None
    assert provider.read_log("gone", LogKind.cloud_init) is None


def test_what_can_never_be_is_refused(provider: Provider, spec: Callable[[str], LaunchSpec]) -> None:
    with pytest.raises((Rejected, OutOfStock)):
        provider.launch(msgspec.structs.replace(spec("one"), pool="nowhere"))
    assert observed(provider) == {}


def volume(provider: Provider, volume_id: str, *, team: int = 1, size_gb: int = 1) -> VolumeSpec:
    """A small volume of the provider's first region."""
    region = provider.volume_regions()[0].region
    return VolumeSpec(
        volume_id=volume_id, team_id=f"team-{team}", team_number=team, region=region, size_gb=size_gb
    )  # fmt: skip


def volumes(provider: Provider) -> dict[str, Volume]:
    """What `observe_volumes` says, by volume."""
    return {found.volume_id: found for found in provider.observe_volumes()}


def test_a_volume_is_made_once_grows_and_goes(provider: Provider) -> None:
    assert provider.capabilities.volumes
    [region] = provider.volume_regions()
    assert region.nanos_per_gb > 0
    assert 0 < region.min_size_gb <= region.max_size_gb <= region.total_gb
    for _ in range(2):
        provider.create_volume(volume(provider, "data"))
    for size_gb in (3, 3, 2):
        provider.resize_volume("data", size_gb)
    assert volumes(provider) == {"data": Volume(volume_id="data", size_gb=3, used_bytes=0)}
    for _ in range(2):
        provider.delete_volume("data")
    assert volumes(provider) == {}
    provider.detach_volume("data", "never-was")
    with pytest.raises(Rejected):
        provider.resize_volume("data", 4)
    with pytest.raises(Rejected):
        provider.create_volume(msgspec.structs.replace(volume(provider, "data"), region="nowhere"))


def test_a_volume_comes_and_goes_and_outlives_its_machines(
    provider: Provider, spec: Callable[[str], LaunchSpec]
) -> None:
    for name in ("first", "second"):
        provider.create_volume(volume(provider, name))
    launched = msgspec.structs.replace(spec("one"), volumes=(VolumeMount("first", "data"),))
    for _ in range(2):
        provider.launch(launched)
        provider.attach_volume(VolumeMount("second", "more"), "one")
    machines = {name: found.deployment_ids for name, found in volumes(provider).items()}
    assert machines == {"first": ("one",), "second": ("one",)}
    with pytest.raises(Busy):
        provider.delete_volume("first")
    for _ in range(2):
        provider.detach_volume("second", "one")
    provider.stop("one")
    provider.attach_volume(VolumeMount("second", "more"), "one")
    provider.start("one")
    assert volumes(provider)["second"].deployment_ids == ("one",)
    end(provider, "one")
    assert {name: found.deployment_ids for name, found in volumes(provider).items()} == {"first": (), "second": ()}


def test_a_volume_is_on_several_machines_of_its_team_and_on_no_others(
    provider: Provider, spec: Callable[[str], LaunchSpec]
) -> None:
    provider.create_volume(volume(provider, "data"))
    provider.create_volume(volume(provider, "theirs", team=2))
    assert provider.capabilities.shared_volumes
    for name in ("one", "two"):
        provider.launch(msgspec.structs.replace(spec(name), volumes=(VolumeMount("data", "data"),)))
    assert volumes(provider)["data"].deployment_ids == ("one", "two")
    for mount, name in ((VolumeMount("theirs", "x"), "one"), (VolumeMount("data", "x"), "gone")):
        with pytest.raises(Rejected):
            provider.attach_volume(mount, name)
    with pytest.raises(Rejected):
        provider.launch(msgspec.structs.replace(spec("three"), volumes=(VolumeMount("theirs", "data"),)))
    assert volumes(provider)["theirs"].deployment_ids == ()


def test_the_doctor_gives_a_remedy_for_all_that_is_wrong(provider: Provider) -> None:
    findings = provider.doctor()
    assert findings
    assert all(finding.is_ok or finding.remedy for finding in findings)
    assert [finding.name for finding in findings if finding.is_required and not finding.is_ok] == []
