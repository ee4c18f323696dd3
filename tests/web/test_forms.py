"""Fields and buttons that every page owes its reader."""

import re

import pytest

from tests.api.cloud import Cloud
from tests.web.browser import Browser, with_session

AUTOCOMPLETE = {"/sign-in": {"current-password"}, "/sign-up": {"new-password"}, "/reset?token=x": {"new-password"}}


@pytest.mark.parametrize("path", sorted(AUTOCOMPLETE))
def test_password_fields_are_masked_and_take_what_is_pasted(cloud: Cloud, path: str) -> None:
    page = Browser(cloud).get(path).text
    fields = [field for field in re.findall(r"<input[^>]*>", page) if 'name="password"' in field]
    assert fields
    for field in fields:
        assert 'type="password"' in field
        assert set(re.findall(r'autocomplete="([^"]*)"', field)) == AUTOCOMPLETE[path]
        assert "maxlength" not in field, "a field that cuts off would make another password of a pasted one"
        assert "readonly" not in field


@pytest.mark.parametrize("path", ["/", "/account", "/cli", "/step-up", "/invitations?token=x"])
def test_signing_out_is_on_every_page(cloud: Cloud, path: str) -> None:
    page = with_session(cloud, cloud.person()).get(path).text
    assert 'action="/sign-out"' in page
