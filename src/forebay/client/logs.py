"""What a machine writes: its console, and cloud-init's log."""

from forebay.client.request import Answer, Request, given


class Log(Answer):
    """A piece of a log: whole lines."""

    kind: str
    text: str
    cursor: str
    """To be sent along to get what comes next."""
    is_cut: bool
    """Whether something is missing before `text`."""
    is_over: bool
    """Whether nothing will be added any more."""


def show(
    deployment_id: str, *, kind: str | None = None, tail: int | None = None, cursor: str | None = None
) -> Request[Log]:
    """The end of a log, `console` or `cloud-init`: so many lines of it, or what has come since the cursor."""
    return Request(
        method="GET",
        path="/api/deployments/{deployment_id}/logs",
        at={"deployment_id": deployment_id},
        query=given(kind=kind, tail=tail, cursor=cursor),
        answers=Log,
    )
