"""The local provider's rules that need no machine: names, prices, files, firewall text, what a doctor finds."""

import os
import tarfile
from base64 import b64encode
from io import BytesIO
from pathlib import Path

import pytest
import yaml

from forebay.compute.base import CloudInit, FoundKey, LaunchSpec, Pool, ProviderUnavailable, Rejected, WriteFile
from forebay.compute.local import (
    cgroups,
    container,
    doctor,
    first_boot,
    image,
    journal,
    seccomp,
    service,
    sessions,
    usage,
)
from forebay.compute.local.gpus import NVIDIA, Gpus, busy_gpus, cdi_names, simulated_gpus
from forebay.compute.local.networks import TeamNetwork, bridge_name
from forebay.compute.local.offers import Machine, offers_of, pool_of
from forebay.compute.local.provider import LocalProvider, resolvers_of
from forebay.compute.local.service import Service, is_shared, tag_of
from forebay.compute.local.walls import Walls
from forebay.settings import Settings

BIG = Machine(cpus=16, memory_gb=64, disk_gb=100)
NETWORK = TeamNetwork(name="forebay-abcde-1", bridge="fbyabcde1", uid_base=1_065_536)


def spec(**changes: object) -> LaunchSpec:
    """A small machine."""
    facts: dict[str, object] = {
        "deployment_id": "d1", "team_id": "t1", "team_number": 1, "hostname": "h", "offer_id": "cpu-small",
        "pool": "local", "operating_system": "Debian 12", "vcpus": 2, "memory_gb": 4, "storage_gb": 10,
        "gpu_type": "cpu", "gpu_count": 0, "authorized_keys": ("ssh-ed25519 AAAA a@b",),
    }  # fmt: skip
    return LaunchSpec(**(facts | changes))  # type: ignore[arg-type]


def specification(listen_on: str = "127.0.0.1", **changes: object) -> dict[str, object]:
    """What Podman is asked to create for `spec`."""
    return container.specification(
        spec(**changes), name="forebay-abcde-d1", cloud_id="cloud", image="image", network=NETWORK, port=20001,
        listen_on=listen_on, devices=[], resolvers=["9.9.9.9"], seccomp=Path("/calls.json"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "plain", 'a "quote" and \\', "new\nline\ttab", "\x00\x07\x7f\x85", "é\u2028\U0001f600"]
)
def test_yaml_means_exactly_what_was_sent(text: str) -> None:
    assert yaml.safe_load(first_boot.quoted(text)) == text


def test_user_data_is_what_cloud_init_reads() -> None:
    given = CloudInit(
        packages=("htop", "jq"),
        runcmd=("echo one", "echo: two"),
        write_files=(
            WriteFile(path="/a b", content="x: é\n"),
            WriteFile(path="/c", content="eA==", encoding="b64", owner="u:g"),
        ),
    )
    text = first_boot.user_data(given)
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text) == {
        "write_files": [
            {"path": "/a b", "content": "eDogw6kK", "encoding": "b64"},
            {"path": "/c", "content": "eA==", "encoding": "b64", "owner": "u:g"},
        ],
        "package_update": True,
        "packages": ["htop", "jq"],
        "runcmd": ["echo one", "echo: two"],
    }


def test_files_go_in_only_where_the_image_and_the_environment_lack_them() -> None:
    assert first_boot.files_for(spec(), is_own_image=True) == {}
    assert "ssh-ed25519 AAAA a@b\n" in first_boot.environment_for(spec()).values()
    many = spec(authorized_keys=("k" * 600,) * 300)
    assert first_boot.environment_for(many) == {}
    assert list(first_boot.files_for(many, is_own_image=True)) == [first_boot.AUTHORIZED_KEYS]
    foreign = first_boot.files_for(spec(), is_own_image=False)
    assert foreign["usr/lib/forebay/init"][1] == 0o755
    assert len(foreign) == len(image.MACHINE_FILES)


def test_what_a_machine_packs_otherwise_is_passed_over() -> None:
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        link = tarfile.TarInfo("first-boot")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        tar.addfile(link)
    assert first_boot.unpacked(buffer.getvalue()) == {}
    packed = first_boot.packed({"a/first-boot": ("succeeded\n", 0o644)})
    assert first_boot.unpacked(packed) == {"first-boot": b"succeeded\n"}
    assert first_boot.outcome_of(b"succeeded\n", b"x" * 100_000).log == "x" * first_boot.LOG_BYTES
    assert not first_boot.outcome_of(b"failed\n", b"").succeeded


def test_of_each_kind_the_host_key_told_last_counts() -> None:
    told = "forebay: host key ssh-ed25519 "
    console = f"{told}OLD \nInvalid user {told}BAD\n{told}NEW \n"
    assert first_boot.host_keys_of(console) == ("ssh-ed25519 NEW",)


def test_a_machine_is_held_to_its_size_and_its_team() -> None:
    body = specification()
    limits = body["resource_limits"]
    assert isinstance(limits, dict)
    assert limits["memory"] == {"limit": 4 * 2**30, "swap": 4 * 2**30}
    assert limits["cpu"]["quota"] == 2 * limits["cpu"]["period"]
    assert limits["cpu"]["shares"] == 2 * cgroups.SHARES
    assert limits["pids"]["limit"] == container.PROCESSES
    assert body["idmappings"] == {
        "UIDMap": [{"container_id": 0, "host_id": 1_065_536, "size": 65_536}],
        "GIDMap": [{"container_id": 0, "host_id": 1_065_536, "size": 65_536}],
    }
    assert body["cap_drop"] == ["all"]
    assert "privileged" not in body
    assert body["seccomp_profile_path"] == "/calls.json"
    assert not {"SYS_ADMIN", "NET_ADMIN", "NET_RAW", "MKNOD", "SYS_PTRACE"} & set(container.KEPT_CAPABILITIES)
    assert body["labels"] == {
        container.CLOUD: "cloud", container.DEPLOYMENT: "d1", container.TEAM: "t1", container.GPUS: "",
        container.PORT: "20001", container.FORWARDS: "",
    }  # fmt: skip


def test_a_port_is_published_on_one_address_or_on_all() -> None:
    for listen_on, host_ip in (("127.0.0.1", "127.0.0.1"), (container.EVERYWHERE, "")):
        published = specification(listen_on)["portmappings"]
        assert isinstance(published, list)
        assert [entry["host_ip"] for entry in published] == [host_ip]


def test_calls_are_podman_s_own_without_namespaces_mounts_keys_and_other_sockets() -> None:
    everything = ["read", "openat", "ptrace", "socketpair", "socket", "clone", *seccomp.REFUSED, *seccomp.UNKNOWN]
    base = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": everything, "action": "SCMP_ACT_ALLOW", "args": []},
            {"names": ["setns"], "action": "SCMP_ACT_ALLOW", "args": [], "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        ],
    }
    profile = seccomp.narrowed(base)
    allowed = {
        (name, bound["value"] if bound else None)
        for rule in profile["syscalls"]
        for name in rule["names"]
        for bound in (rule.get("args") or [None])
        if rule["action"] == "SCMP_ACT_ALLOW"
    }
    names = {name for name, _ in allowed}
    assert names == {"read", "openat", "ptrace", "socketpair", "clone", "socket"}
    assert {value for name, value in allowed if name == "socket"} == set(seccomp.FAMILIES)
    assert {value for name, value in allowed if name == "clone"} == {seccomp.NAMESPACES}
    assert all(entry["subArchitectures"] == [] for entry in profile["archMap"])
    assert seccomp.narrowed(base) == profile


def test_without_podman_s_list_of_calls_nothing_is_launched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "PROFILES", (tmp_path / "none.json",))
    with pytest.raises(ProviderUnavailable):
        seccomp.write(tmp_path)
    assert not doctor.calls_listed().is_ok


@pytest.mark.parametrize(
    ("row", "state", "stopped_second"),
    [
        ({"State": "created", "StartedAt": -62135596800, "ExitedAt": -62135596800}, "starting", None),
        ({"State": "running", "StartedAt": 100, "ExitedAt": 50}, "running", None),
        ({"State": "exited", "StartedAt": 100, "ExitedAt": 150}, "stopped", 150),
        ({"State": "stopped", "StartedAt": 100, "ExitedAt": 150}, "stopped", 150),
        ({"State": "created", "StartedAt": 100, "ExitedAt": 50}, "stopped", None),
        ({"State": "removing", "StartedAt": 100, "ExitedAt": 150}, "ending", None),
    ],
)
def test_states_are_read_from_the_list(row: dict[str, object], state: str, stopped_second: int | None) -> None:
    labels = {container.DEPLOYMENT: "d1", container.TEAM: "t1", container.PORT: "20001"}
    instance = container.instance_of({"Labels": labels, **row}, address="127.0.0.1", probe_address=None)
    assert instance.state == state
    assert (instance.stopped_at and instance.stopped_at.timestamp()) == stopped_second


@pytest.mark.parametrize("deployment_id", ["", "-a", "a/b", "a b", "../x", "a" * 65])
def test_an_id_that_is_no_name_is_rejected(deployment_id: str) -> None:
    with pytest.raises(Rejected):
        container.name_of("abcde", deployment_id)


@pytest.mark.parametrize(
    ("code", "out_of_memory", "reason"),
    [(0, True, None), (143, False, None), (137, True, "memory"), (137, False, "killed"), (1, False, "code 1")],
)
def test_why_it_ended_in_words(code: int, out_of_memory: bool, reason: str | None) -> None:
    said = container.exit_reason(code, out_of_memory)
    assert (said is None) if reason is None else (said is not None and reason in said)


def test_a_console_comes_out_of_its_frames() -> None:
    framed = b"\x01\0\0\0\0\0\0\x04one\n\x02\0\0\0\0\0\0\x04two\n"
    assert container.console_text(framed, 100) == "one\ntwo\n"
    assert container.console_text(framed, 4) == "two\n"
    assert container.console_text(b"\x01", 4) == ""


def test_interfaces_have_short_names() -> None:
    assert bridge_name("abcde", 1) == "fbyabcde1"
    assert bridge_name("abcde", 36**7 - 1) == "fbyabcdezzzzzzz"
    assert len({bridge_name("abcde", number) for number in range(1, 3000)}) == 2999
    with pytest.raises(ValueError, match="no bridge"):
        bridge_name("abcde", 36**7)
    assert tag_of("one") == tag_of("one") != tag_of("two")
    assert len(str(Service("podman", tag_of("x" * 300)).socket)) < 107


def test_prices_are_the_settings_and_offers_fit() -> None:
    settings = Settings(local_vcpu_micros=3, local_memory_gb_micros=5, local_gpu_micros=7, local_disk_gb_nanos=150)
    gpus = Gpus(kind=NVIDIA, names=("0", "1", "2", "3"), gpu_type="H100", model="NVIDIA H100", memory_gb=80)
    pool = pool_of(BIG, gpus, settings)
    assert pool == Pool(name="local", vcpus=128, memory_gb=62, storage_gb=400, gpus=4)
    offers = {
        offer.offer_id: offer
        for offer in offers_of(pool, gpus, settings, operating_system="Debian 12", is_maintenance=False)
    }
    assert set(offers) == {"cpu-small", "cpu-medium", "cpu-large", "gpu-1", "gpu-2", "gpu-4"}
    assert offers["cpu-medium"].rate_micros == 2 * 3 + 4 * 5
    assert offers["cpu-medium"].storage_rate_micros == 3, "20 GB at 150 nano-dollars, rounded once"
    assert offers["cpu-small"].storage_rate_micros == 2, "1.5 micro-dollars, half up"
    assert offers["gpu-2"].rate_micros == 64 * 3 + 31 * 5 + 2 * 7
    assert (offers["cpu-small"].gpu_type, offers["gpu-4"].gpu_type) == ("cpu", "H100")


def test_small_machines_offer_less() -> None:
    small = pool_of(Machine(cpus=1, memory_gb=6, disk_gb=20), None, Settings())
    offers = offers_of(small, None, Settings(), operating_system="Debian 12", is_maintenance=True)
    assert [offer.offer_id for offer in offers] == ["cpu-small", "cpu-medium"]
    assert all(offer.is_maintenance for offer in offers)


def test_simulated_gpus_say_so_wherever_they_show() -> None:
    settings = Settings(demo=True)
    gpus = simulated_gpus()
    offers = offers_of(pool_of(BIG, gpus, settings), gpus, settings, operating_system="Debian 12", is_maintenance=False)
    simulated = [offer for offer in offers if offer.gpu_count]
    assert [offer.gpu_count for offer in simulated] == [1, 2, 4, 8]
    for offer in simulated:
        assert offer.is_simulated
        assert all("SIMULATED" in text for text in (offer.name, offer.description, offer.gpu_type, offer.gpu_model))
    assert [offer.minimum_runtime_minutes for offer in offers if offer.minimum_runtime_minutes] == [20]


def test_gpus_are_counted_from_cdi_files(tmp_path: Path) -> None:
    (tmp_path / "nvidia.yaml").write_text(
        f'cdiVersion: 0.5.0\nkind: {NVIDIA}\ndevices:\n- name: "1"\n- name: "0"\n- name: GPU-1a\n- name: all\n'
    )
    (tmp_path / "other.json").write_text('{"kind": "other.example/nic", "devices": [{"name": "7"}]}')
    (tmp_path / "broken.json").write_text("{")
    assert cdi_names(NVIDIA, [tmp_path, tmp_path / "missing"]) == ("0", "1")
    assert Gpus(kind=NVIDIA, names=("0", "1"), gpu_type="", model="", memory_gb=0).devices([1]) == [f"{NVIDIA}=1"]


def test_how_busy_gpus_are_is_asked_once_for_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "0, GPU-1a, 7\n1, GPU-2b, 100\n"
    smi = tmp_path / "nvidia-smi"
    smi.write_text(f"#!/bin/sh\nprintf '{said}'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    busy = busy_gpus()
    assert busy == {f"{NVIDIA}={name}": part for name, part in (("0", 0.07), ("GPU-1a", 0.07), ("1", 1), ("GPU-2b", 1))}
    assert usage.busiest(f"{NVIDIA}=0,{NVIDIA}=1", busy) == 1.0
    assert usage.busiest("forebay.dev/simulated-gpu=0", busy) is usage.busiest("", busy) is None
    for broken in ("exit 9", "echo No devices were found", "echo 0, GPU-1a, [N/A]"):
        smi.write_text(f"#!/bin/sh\n{broken}\n")
        assert busy_gpus() == {}


def test_processor_time_is_found_under_either_kind_of_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proc, root = tmp_path / "proc", tmp_path / "cgroup"
    monkeypatch.setattr(usage, "CGROUPS", root)
    below = "libpod_parent/libpod-abc"
    for number, lines in (
        (1, f"9:memory:/x/{below}\n2:cpu,cpuacct:/{below}\n0::/\n"), (2, f"0::/{below}\n"), (3, "0::/system.slice\n")
    ):  # fmt: skip
        (proc / str(number)).mkdir(parents=True)
        (proc / str(number) / "cgroup").write_text(lines)
    for folder, name, text in (
        (root / "cpuacct" / below, "cpuacct.usage", "1500000000\n"),
        (root / below, "cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
    ):
        folder.mkdir(parents=True)
        (folder / name).write_text(text)
    first, second = (usage.cgroup_of(number, "abc", root, proc) for number in (1, 2))
    assert (first, second) == (root / "cpuacct" / below, root / below)
    assert [usage.cpu_seconds_of(found) for found in (first, second) if found] == [1.5, 2.5]
    assert usage.cgroup_of(3, "abc", root, proc) is usage.cgroup_of(4, "abc", root, proc) is None
    assert usage.cpu_seconds_of(root / "gone") is None
    assert usage.usage_of("one", 1, first, None) is None, "the process is none of the machine's any more"


def test_machines_together_weigh_a_process_for_each_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    kernel = tmp_path / "proc/sys/kernel"
    kernel.mkdir(parents=True)
    (kernel / "pid_max").write_text("32768\n")
    (kernel / "threads-max").write_text("190000\n")
    first, second = tmp_path / "first", tmp_path / "second"
    for file, text in {
        first / "cpu/forebay/cpu.shares": "1024\n", first / "pids/forebay/pids.max": "max\n",
        second / "cgroup.controllers": "cpu io memory pids\n", second / "cgroup.subtree_control": "\n",
        second / "forebay/cpu.weight": "100\n", second / "forebay/pids.max": "max\n",
    }.items():  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for root in (first, second, tmp_path / "nowhere"):
        cgroups.prepare(root, tmp_path / "proc")
    assert (first / "cpu/forebay/cpu.shares").read_text() == str(8 * 1024)
    assert (second / "forebay/cpu.weight").read_text() == "800"
    assert (second / "cgroup.subtree_control").read_text() == "+io", "each is asked for by itself: one may be missing"
    for limit in (first / "pids/forebay/pids.max", second / "forebay/pids.max"):
        assert limit.read_text() == str(32768 * 3 // 4)


def test_walls_drop_last_what_nobody_allowed() -> None:
    walls = Walls("abcde", "fbyabcde", ["10.0.0.53", "fd00::1"], ["10.9.0.0/16", "fd00::/8"])
    lines = walls.rules(["fbyabcde1"]).splitlines()
    assert lines[0] == "*mangle"
    assert lines[-1] == "COMMIT"
    out = [line.removeprefix("-A FBY-abcde-OUT ") for line in lines if line.startswith("-A FBY-abcde-OUT")]
    assert out.index("-i fbyabcde1 -o fbyabcde1 -j RETURN") < out.index("-o fby+ -j DROP")
    assert out.index("-o fby+ -j DROP") < out.index("-d 10.9.0.0/16 -j RETURN") < out.index("-d 10.0.0.0/8 -j DROP")
    assert out.index("-d 10.0.0.53 -p udp --dport 53 -j RETURN") < out.index("-d 10.0.0.0/8 -j DROP")
    for chain in ("HOST", "IN"):
        assert [line for line in lines if line.startswith(f"-A FBY-abcde-{chain}")][-1].endswith("-j DROP")
    assert not any("fd00" in line for line in lines)


def test_only_resolvers_that_a_machine_could_reach_are_passed_on(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text(
        "# of the host\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver ::1\nnameserver fd00::1\nsearch x\n"
    )
    assert resolvers_of(Settings(), file) == ("10.0.0.2",)
    assert resolvers_of(Settings(local_resolvers=("9.9.9.9",)), file) == ("9.9.9.9",)
    assert resolvers_of(Settings(), tmp_path / "missing") == ()


@pytest.mark.parametrize(
    ("settings", "address", "listens_on", "probe"),
    [
        (Settings(), "127.0.0.1", "127.0.0.1", None),
        (Settings(public_url="http://localhost:8400"), "localhost", "127.0.0.1", "127.0.0.1"),
        (Settings(public_url="https://cloud.example"), "cloud.example", "0.0.0.0", "127.0.0.1"),
        (Settings(public_url="https://cloud.example", ssh_host="192.0.2.9"), "192.0.2.9", "0.0.0.0", "127.0.0.1"),
    ],
)
def test_machines_listen_where_people_come_from(
    settings: Settings, address: str, listens_on: str, probe: str | None
) -> None:
    provider = LocalProvider(settings, "test")
    assert (provider.address, provider.listen_on, provider.listen_on_probe) == (address, listens_on, probe)
    provider.close()


def test_a_shared_mount_is_told_from_a_private_one() -> None:
    private = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
    shared = "47 27 254:0 /run/netns /run/netns rw shared:1 - ext4 /dev/vda rw\n"
    assert not is_shared(Path("/run/netns"), private)
    assert is_shared(Path("/run/netns"), private + shared)
    assert not is_shared(Path("/run/other"), private + shared)
    assert is_shared(Path("/run/netns"), "27 1 254:0 / / rw shared:1 master:2 - ext4 /dev/vda rw\n")


def test_the_image_is_named_after_its_recipe() -> None:
    assert image.reference().startswith("localhost/forebay/debian-12:")
    assert all((image.FOLDER / name).is_file() for name in image.MACHINE_FILES)
    assert all(line.startswith("deb ") and "bookworm" in line for line in image.sources())


def test_the_doctor_names_what_is_missing_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(service, "SYSTEM_FOLDERS", ())
    findings = {finding.name: finding for finding in doctor.examine(Service("podman", "abcde"), is_root=False)}
    for name, package in (("podman", "podman"), ("mmdebstrap", "mmdebstrap"), ("iptables", "iptables")):
        assert not findings[name].is_ok
        assert findings[name].remedy.endswith(f"install --no-install-recommends {package}")
    assert not findings["privileges"].is_ok
    assert "not supported" in findings["privileges"].found


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("ssh-ed25519 AAAA a@b", "ssh-ed25519 AAAA a@b"),
        ("  ecdsa-sha2-nistp256\tAAAA==\t a  b ", "ecdsa-sha2-nistp256 AAAA== a  b"),
        ('command="echo hi",no-pty sk-ssh-ed25519@openssh.com AAAA', "sk-ssh-ed25519@openssh.com AAAA"),
        ('command="ssh-rsa AAAA" ssh-ed25519 BBBB', "ssh-ed25519 BBBB"),
        ("# ssh-ed25519 AAAA a@b", None),
        ("ssh-ed25519", None),
        ("", None),
    ],
)
def test_keys_are_found_in_lines_as_sshd_finds_them(line: str, key: str | None) -> None:
    assert first_boot.found_keys(f"{line}\n".encode(), "/x") == ([FoundKey(line=key, place="/x")] if key else [])


def test_a_login_is_known_by_process_start_and_key() -> None:
    key = b64encode(b"a key").decode()
    lines = f"7 100 ssh-ed25519 {key}\n8 x ssh-ed25519 {key}\n9 100 ssh-ed25519 !\n\xff\n7 100\n".encode("latin-1")
    [(process, fingerprint)] = sessions.keys_of(lines).items()
    assert process == (7, 100)
    assert fingerprint.startswith("SHA256:")


def test_a_console_s_lines_are_put_together() -> None:
    lines = b"2026-03-01T00:00:00.0+00:00 stderr P be\n2026-03-01T00:00:00.0+00:00 stderr F gin\r\nnonsense\n"
    assert journal.console_text(lines + b"2026-03-01T00:00:00.0+00:00 stdout F  end\n") == "begin\n end\n"
