"""The setting that names where SSH keys can be taken from."""

import pytest

from forebay import settings
from forebay.settings import InvalidSetting


def test_sources_are_named_addresses_with_a_place_for_the_user() -> None:
    assert settings.read({}).key_sources == ()
    text = "GitHub=https://github.com/{user}.keys, Our Forge = https://forge.example/keys?of={user}&kind=ssh"
    one, two = settings.read({"FOREBAY_SSH_KEY_SOURCES": text}).key_sources
    assert (one.name, one.address_of("octo-cat")) == ("GitHub", "https://github.com/octo-cat.keys")
    assert (two.name, two.address_of("~a@b/c")) == ("Our Forge", "https://forge.example/keys?of=~a%40b%2Fc&kind=ssh")


def test_the_demo_has_two_unless_told_otherwise() -> None:
    assert [source.name for source in settings.read({}, demo=True).key_sources] == ["GitHub", "GitLab"]
    assert settings.read({"FOREBAY_SSH_KEY_SOURCES": ""}, demo=True).key_sources == ()


@pytest.mark.parametrize(
    "text",
    [
        "GitHub",
        "=https://github.com/{user}.keys",
        "a:b=https://github.com/{user}.keys",
        "GitHub=https://github.com/keys",
        "GitHub=https://{user}.github.com/keys",
        "GitHub=https://github.com/{user}/{user}",
        "GitHub=https://me:secret@github.com/{user}",
        "GitHub=http://github.com/{user}.keys",
        "GitHub=file:///{user}",
        "GitHub=https://github.com/#{user}",
        "GitHub=https://[github.com/{user}",
        "GitHub=https://a/{user},github=https://b/{user}",
    ],
)
def test_what_leads_elsewhere_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(InvalidSetting, match="FOREBAY_SSH_KEY_SOURCES"):
        settings.read({"FOREBAY_SSH_KEY_SOURCES": text})
    if "http://" in text:
        assert settings.read({"FOREBAY_SSH_KEY_SOURCES": text, "FOREBAY_SSH_KEY_SOURCE_ALLOW_HTTP": "1"}).key_sources


def test_networks_are_networks() -> None:
    with pytest.raises(InvalidSetting, match="neither an address nor a network"):
        settings.read({"FOREBAY_SSH_KEY_SOURCE_OPEN_NETWORKS": "10.0.0.0/99"})
