"""`/api/providers`: who runs machines here."""

from forebay.api.call import Call
from forebay.api.route import Needs, route


@route("GET", "/api/providers", needs=Needs.nothing, answers=list[str], is_inline=True)
def list_all(call: Call) -> list[str]:
    """The names of the providers that are configured now."""
    return list(call.services.provider_names)
