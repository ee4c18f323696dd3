"""`/api/providers`."""

from tests.api.cloud import Cloud


def test_the_names_of_the_configured_providers_are_public(cloud: Cloud) -> None:
    assert cloud.get("/api/providers").ok() == ["memory"]


def test_a_bad_key_does_not_matter_where_none_is_needed(cloud: Cloud) -> None:
    assert cloud.get("/api/providers", "no key at all").ok() == ["memory"]
