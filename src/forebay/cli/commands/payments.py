"""`forebay payments`: our books beside the payment processor's own list, for operators."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from forebay.cli.commands.running import DataDir, opened

if TYPE_CHECKING:
    from forebay.domain.money.reconciliation import Theirs
    from forebay.payments.base import Payment, PaymentProcessor

app = typer.Typer(help="Payments by card, for operators.", no_args_is_help=True)

FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"]
DEFAULT_DAYS = 30

From = Annotated[
    datetime | None, typer.Option("--from", formats=FORMATS, help="The first moment, UTC. Default: 30 days ago.")
]
To = Annotated[
    datetime | None, typer.Option("--to", formats=FORMATS, help="The first moment after, UTC. Default: now.")
]


@app.callback()
def payments() -> None:
    """Payments by card, for operators."""


@app.command("reconcile")
def reconcile(since: From = None, until: To = None, data_dir: DataDir = None) -> None:
    """Compare our books with the processor's list for a time; say each difference, and exit with status 1 for any."""
    with opened(data_dir) as forebay:
        from forebay.domain.money import reconciliation

        now = forebay.clock.now()
        end = until.replace(tzinfo=UTC) if until else now + timedelta(seconds=1)
        start = since.replace(tzinfo=UTC) if since else end - timedelta(days=DEFAULT_DAYS)
        processor = forebay.open_processor()
        theirs = [to_theirs(payment) for payment in processor.payments(since=start, until=end)]
        with forebay.database.read() as connection:
            unlisted = reconciliation.missing(connection, start, end, theirs)
        theirs += look_up(processor, unlisted)
        with forebay.database.read() as connection:
            found = list(reconciliation.differences(connection, theirs))
        for sentence in found:
            typer.echo(sentence)
        if found:
            raise typer.Exit(1)
        paid = sum(each.has_succeeded and each.is_marked for each in theirs)
        typer.echo(f"Our books and the processor agree on {paid} payments from {start:%Y-%m-%d} to {end:%Y-%m-%d}.")


def look_up(processor: "PaymentProcessor", payment_ids: list[str]) -> Iterator["Theirs"]:
    """Payments that our books have and the list has not: made at another time, or not there at all."""
    from forebay.domain.money.reconciliation import Theirs
    from forebay.payments.base import NoSuchObject

    for payment_id in payment_ids:
        try:
            yield to_theirs(processor.payment(payment_id))
        except NoSuchObject:
            yield Theirs(
                payment_id=payment_id,
                has_succeeded=False,
                amount_micros=0,
                refunded_micros=0,
                disputed_micros=0,
                is_marked=True,
            )


def to_theirs(payment: "Payment") -> "Theirs":
    """What counts of a payment on the list."""
    from forebay.domain.money.reconciliation import Theirs

    return Theirs(
        payment_id=payment.id,
        has_succeeded=payment.status == "succeeded",
        amount_micros=payment.amount_micros,
        refunded_micros=payment.refunded_micros,
        disputed_micros=payment.disputed_micros,
        is_marked="forebay_attempt" in payment.marks,
    )
