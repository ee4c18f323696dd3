"""The chart of a machine's costs: its table says what the API says, and the script comes only where it is drawn."""

import re

from tests.api.cloud import Cloud
from tests.web.browser import with_session


def figures(page: str, table: str, name: str) -> list[float]:
    """What the rows of a table carry for the chart."""
    [body] = re.findall(rf'id="{table}".*?</table>', page, re.S)
    return [float(value) for value in re.findall(rf'data-{name}="([^"]+)"', body)]


def test_a_machine_that_was_stopped_and_started_shows_its_costs_and_prices(cloud: Cloud) -> None:
    pat = cloud.person("Pat", credits_micros=100_000_000)
    browser = with_session(cloud, pat)
    browser.get("/t")
    machine = cloud.running(pat, name="train")["id"]
    at = f"{browser.page.headers['location']}/deployments/{machine}"
    assert "chart.js" not in browser.get(at).text, "nothing to draw yet"
    for verb in ("stop", "start"):
        cloud.clock.forward(hours=2, minutes=7)
        cloud.run("sightings")
        cloud.run("cycle")
        cloud.post(f"/api/deployments/{machine}/{verb}", pat.key).ok()
        cloud.settle()
    cloud.clock.forward(hours=1, seconds=11)
    page = browser.get(at).text
    accrued = cloud.get(f"/api/deployments/{machine}", pat.key).ok()["accruedCost"]
    assert page.count("chart.js") == 1
    costs, totals = figures(page, "cost-parts", "value"), figures(page, "cost-parts", "total")
    assert round(sum(costs) * 1_000_000) == round(totals[-1] * 1_000_000) == round(accrued * 1_000_000) > 0
    assert totals == sorted(totals)
    prices = figures(page, "cost-steps", "value")
    assert len(prices) >= 3
    assert prices[0] == prices[-1] > prices[1]
    assert "stopped, its disk kept" in page
    cloud.send("DELETE", f"/api/deployments/{machine}", pat.key).ok()
    cloud.settle()
    cloud.clock.forward(days=3)
    page = browser.get(at).text
    ended = cloud.get(f"/api/deployments/{machine}", pat.key).ok()
    assert round(figures(page, "cost-parts", "total")[-1] * 1_000_000) == round(ended["totalCost"] * 1_000_000)
    assert figures(page, "cost-steps", "value")[-1] == 0
    assert "nothing is charged" in page
