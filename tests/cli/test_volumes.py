"""`forebay volumes`: each command against a cloud whose worker runs while the command waits."""

import threading
from collections.abc import Iterator

import pytest

from tests.api.cloud import Cloud
from tests.cli.conftest import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def working(cloud: Cloud) -> Iterator[None]:
    """The worker brings about what is due, again and again, until the test is over."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(0.02):
            cloud.settle()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    is_over.set()
    thread.join()


def test_a_volume_as_a_person_uses_it(cloud: Cloud, run: Run, working: None) -> None:
    pat = cloud.person("Pat")
    token = pat.key
    assert "$2.628" in run("volumes", "regions", token=token).out
    said = run("volumes", "create", "data", "10", token=token)
    assert said.out == "data is available: 10 GB, $0.036 an hour.\n", said
    machine = cloud.launch(pat, name="train")["id"]
    said = run("volumes", "attach", "data", "train", token=token)
    assert said.out == "data is attached to train: /mnt/data\n", said
    made = run("volumes", "create", "more", "5", "--attach", "train", "--json", token=token).json
    assert [each["status"] for each in made["attachments"]] == ["attached"]
    assert run("volumes", "grow", "data", "20", token=token).out == "data grows to 20 GB: $0.072 an hour.\n"
    assert "more is other now" in run("volumes", "rename", made["id"], "other", token=token).out
    listed = run("volumes", token=token).out
    assert ["data" in listed, "20 GB" in listed, "train" in listed, "memory/here" in listed] == [True] * 4
    assert run("volumes", "--json", token=token).json["total"] == 2
    assert run("volumes", "delete", "data", "--yes", token=token).status == 1
    assert run("volumes", "detach", "data", machine, token=token).out == "data is off train.\n"
    assert "costs nothing" in run("volumes", "delete", "data", "--yes", token=token).out
    for wrong, status in (
        (("grow", "nothing", "5"), 4),
        (("attach", "other", "nothing"), 4),
        (("grow", "other", "1"), 1),
        (("create", "Not A Name", "5"), 1),
        (("create", "x", "0"), 2),
    ):
        assert run("volumes", *wrong, token=token).status == status, wrong


def test_a_machine_comes_up_with_its_volumes(cloud: Cloud, run: Run, working: None) -> None:
    pat = cloud.person("Pat")
    made = [cloud.volume(pat, name=name)["id"] for name in ("data", "more")]
    cloud.ssh_key(pat.team, pat)
    words = ("deploy", "memory-small", "--volume", "data", "--volume", made[1], "--detach", "--yes", "--json")
    assert run(*words, token=pat.key).json["volumeIds"] == made
    assert run(*words[:3], "nothing", "--yes", token=pat.key).status == 4


def test_what_is_in_use_is_said_to_be(cloud: Cloud, run: Run, working: None) -> None:
    pat = cloud.person("Pat")
    machine = cloud.running(pat, name="train")["id"]
    made = cloud.volume(pat, name="data", deploymentId=machine)
    cloud.provider.use_volume(made["id"])
    ahead = threading.Timer(0.5, cloud.clock.forward, kwargs={"seconds": 30})
    ahead.start()
    said = run("volumes", "detach", "data", "train", token=pat.key)
    ahead.join()
    assert (said.status, "uses /mnt/data" in said.out) == (1, True), said
