"""`/api/kubernetes`: what clients ask before they offer the add-on.

No provider here has it, and that is what is answered.
"""

from forebay.api.call import Call
from forebay.api.envelope import Input, Wire
from forebay.api.route import Needs, route
from forebay.errors import NotFound


class OfProvider(Input):
    """Which provider."""

    provider: str | None = None


class Version(Wire):
    """A version of Kubernetes."""

    version: str
    available: bool


class Versions(Wire):
    """Those that can be had."""

    versions: list[Version]


class Health(Wire):
    """How a cluster is."""

    control_plane_nodes: str
    worker_nodes: str
    network_components: str
    overall_health: str


class ClusterHealth(Wire):
    """The answer for a cluster."""

    health: Health


@route("GET", "/api/kubernetes/versions", needs=Needs.nothing, query=OfProvider, answers=Versions, is_inline=True)
def versions(call: Call, query: OfProvider) -> Versions:
    """The versions of Kubernetes that a provider has: none has the add-on."""
    return Versions(versions=[])


@route("GET", "/api/kubernetes/{cluster_id}/health", needs=Needs.account, answers=ClusterHealth, is_inline=True)
def health(call: Call, cluster_id: str) -> ClusterHealth:
    """The health of a cluster: there are none, so none is found."""
    raise NotFound("Cluster")
