"""`/api/kubernetes`: no provider has the add-on, and that is what is answered."""

from tests.api.cloud import ABSENT, Cloud


def test_there_are_no_versions(cloud: Cloud) -> None:
    for query in ("", "?provider=memory", "?provider=nobody", "?provider="):
        assert cloud.get(f"/api/kubernetes/versions{query}").ok() == {"versions": []}


def test_there_are_no_clusters(cloud: Cloud) -> None:
    pat = cloud.person()
    for cluster in (ABSENT, "x", "a" * 5000):
        refusal = cloud.get(f"/api/kubernetes/{cluster}/health", pat.key).refused(404, "NOT_FOUND")
        assert refusal["error"] == "Cluster not found"
    cloud.get(f"/api/kubernetes/{ABSENT}/health").refused(401, "UNAUTHORIZED")
