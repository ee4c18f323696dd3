"""Offers on the command line, with a sign-in and without."""

import pytest

from tests.api.cloud import Cloud
from tests.cli.conftest import Run


def test_offers_are_listed_and_filtered(cloud: Cloud, run: Run) -> None:
    shown = run("offers")
    assert shown.status == 0, shown
    assert "memory-small" in shown.out
    every = [offer for group in run("offers", "--json").json["data"] for offer in group["offers"]]
    assert len(every) > 1
    assert run("offers", "--team", "x").status == 0, "nobody is signed in"
    pat = cloud.person("Pat")
    assert run("offers", "--json", "--team", pat.team, token=pat.session).json["total"] > 0
    cheapest = min(offer["price"] for offer in every)
    for words, is_wanted in (
        (["--gpus", "0"], lambda offer: offer["gpuCount"] == 0),
        (["--max-price", f"${cheapest}"], lambda offer: offer["price"] <= cheapest),
        (["--in-stock"], lambda offer: offer["available"]),
        (["--provider", "memory"], lambda offer: True),
        (["--region", "here"], lambda offer: "here" in offer["clusters"]),
    ):
        found = run("offers", *words, "--json").json
        wanted = {offer["offerId"] for offer in every if is_wanted(offer)}
        assert {offer["offerId"] for group in found["data"] for offer in group["offers"]} == wanted != set()
    nothing = run("offers", "--provider", "nobody")
    assert (nothing.status, "Nothing that can be launched" in nothing.err) == (0, True), nothing


@pytest.mark.parametrize("words", [["--sort", "colour"], ["--type", "BEST"]])
def test_what_the_server_does_not_know_is_refused(run: Run, words: list[str]) -> None:
    assert run("offers", *words).status == 1


def test_a_price_that_is_none_is_not_understood(run: Run) -> None:
    assert run("offers", "--max-price", "cheap").status == 2
