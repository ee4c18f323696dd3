"""The typed client of Forebay's REST API.

    from forebay.client import Client, deployments, teams

    with Client("https://cloud.example.org", token="fby_pk_…") as cloud:
        for team in cloud.ask(teams.listed()).teams:
            print(team.name)

Each call is declared once, as a function that returns a `Request`: in the file of its noun, beside what it answers
with. `Client` carries it out and waits, `AsyncClient` does so without blocking. Both raise what `errors` tells.
"""

from forebay.client.errors import (
    BudgetExceeded,
    ClientError,
    Contradiction,
    InsufficientBalance,
    NotAllowed,
    NotFound,
    NotSignedIn,
    NotValid,
    Refusal,
    ServerFailed,
    TooManyRequests,
    Unintelligible,
    Unreachable,
)
from forebay.client.request import Answer, Request
from forebay.client.transport import AsyncClient, Client, Reply

__all__ = [
    "Answer",
    "AsyncClient",
    "BudgetExceeded",
    "Client",
    "ClientError",
    "Contradiction",
    "InsufficientBalance",
    "NotAllowed",
    "NotFound",
    "NotSignedIn",
    "NotValid",
    "Refusal",
    "Reply",
    "Request",
    "ServerFailed",
    "TooManyRequests",
    "Unintelligible",
    "Unreachable",
]
