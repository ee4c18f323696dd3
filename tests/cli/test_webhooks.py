"""Notifications and webhooks on the command line."""

from tests.api.cloud import Cloud
from tests.cli.conftest import Run


def test_what_i_am_mailed_and_what_i_wait_for(cloud: Cloud, run: Run) -> None:
    pat = cloud.person("Pat")
    assert "deployment.running" in run("notifications", token=pat.session).out
    assert run("notifications", "off", "deployment.running", token=pat.session).out == (
        "Mails of deployment.running are off.\n"
    )
    listed = run("notifications", "list", "--json", token=pat.key).json
    assert [each["kind"] for each in listed["kinds"] if not each["isOn"]] == ["deployment.running"]
    refused = run("notifications", "off", "balance.low", token=pat.session)
    assert (refused.status, "stays on" in refused.err) == (1, True)
    assert run("notifications", "on", "deployment.running", token=pat.session).status == 0
    watching = run("notifications", "watch", "memory-small", "--for-team", "--lasting", token=pat.session)
    assert "memory-small is in stock again. It is in stock now." in watching.out
    assert "each time" in run("notifications", token=pat.session).out
    assert run("notifications", "unwatch", "memory-small", token=pat.session).status == 4, "that was the team's"
    assert run("notifications", "unwatch", "memory-small", "--for-team", token=pat.session).status == 0
    assert run("notifications", "--json", "list", token=pat.session).status == 2


def test_a_webhook_from_its_secret_to_its_end(cloud: Cloud, run: Run) -> None:
    pat = cloud.person("Pat")
    made = run("webhooks", "add", "https://hooks.example.org/x", "--kind", "limit.met", token=pat.key)
    assert (made.out[:6], "shown once" in made.err) == ("whsec_", True)
    assert "hooks.example.org" in run("webhooks", token=pat.key).out
    hook = "hooks.example.org"
    assert "on its way" in run("webhooks", "test", hook, token=pat.key).out
    assert "pending" in run("webhooks", "deliveries", hook, token=pat.key).out
    changed = run("webhooks", "change", hook, "--name", "chat", "--disable", "--all-kinds", token=pat.key)
    assert "chat is changed: disabled: disabled by hand, told of everything." in changed.out
    assert run("webhooks", "rotate", "chat", "--json", token=pat.key).json["secret"] not in made.out
    assert run("webhooks", "remove", "chat", token=pat.key).status == 2, "there is nobody to ask"
    assert run("webhooks", "remove", "chat", "--yes", token=pat.key).out == "chat is removed.\n"
    assert run("webhooks", "list", "--json", token=pat.key).json == {"webhooks": []}
    assert run("webhooks", "change", "chat", "--enable", token=pat.key).status == 4
