"""The audit's second half: segments, the usage lines that tile them, who paid those, cycles and holds."""

from collections.abc import Iterator
from itertools import chain, groupby
from typing import Any

from sqlalchemy import Connection

from forebay.domain.money import holds, metering
from forebay.domain.money.amounts import charge_micros
from forebay.domain.money.audit_books import moment, stream
from forebay.domain.money.digests import seal

SEGMENTS_AND_LINES = """
    SELECT
        segments.id, segments.team_id, segments.resource_type, segments.resource_id, segments.rate_micros,
        segments.started_at, segments.ended_at, segments.charged_through, segments.charged_micros,
        segments.sighted_at, segments.seal,
        usage_lines.team_id AS line_team_id, usage_lines.from_at, usage_lines.to_at, usage_lines.amount_micros,
        usage_lines.cycle_id
    FROM segments LEFT JOIN usage_lines ON usage_lines.segment_id = segments.id
    ORDER BY segments.id, usage_lines.from_at
"""

UNPAID_LINES = """
    SELECT
        usage_lines.segment_id, usage_lines.from_at, usage_lines.team_id, usage_lines.amount_micros,
        usage_lines.cycle_id, usage_lines.transfer_id,
        segments.id AS found_segment, transfers.idempotency_key, transfers.kind
    FROM usage_lines
    LEFT JOIN segments ON segments.id = usage_lines.segment_id
    LEFT JOIN transfers ON transfers.id = usage_lines.transfer_id
    WHERE segments.id IS NULL
        OR (usage_lines.amount_micros > 0) <> (usage_lines.transfer_id IS NOT NULL)
        OR usage_lines.transfer_id IS NOT NULL AND (
            COALESCE(transfers.kind, '') <> 'usage'
            OR transfers.idempotency_key <> COALESCE(
                'cycle:' || usage_lines.cycle_id || ':' || usage_lines.team_id,
                'segment-end:' || usage_lines.segment_id
            )
        )
    ORDER BY usage_lines.segment_id, usage_lines.from_at
"""

REVENUE_LESS_LINES = """
    SELECT transfer_id, account_id, SUM(amount_micros) AS difference_micros
    FROM (
        SELECT entries.transfer_id, entries.account_id, entries.amount_micros
        FROM entries JOIN transfers ON transfers.id = entries.transfer_id
        WHERE transfers.kind = 'usage' AND entries.version IS NULL
        UNION ALL
        SELECT usage_lines.transfer_id, segments.resource_type || '_revenue', -usage_lines.amount_micros
        FROM usage_lines JOIN segments ON segments.id = usage_lines.segment_id
        WHERE usage_lines.transfer_id IS NOT NULL
    ) AS both_sides
    GROUP BY transfer_id, account_id HAVING SUM(amount_micros) <> 0
    ORDER BY transfer_id, account_id
"""

CYCLES_AND_LINES = """
    SELECT
        cycles.id, cycles.teams, cycles.lines, cycles.amount_micros,
        COALESCE(found.teams, 0) AS found_teams, COALESCE(found.lines, 0) AS found_lines,
        COALESCE(found.amount_micros, 0) AS found_micros
    FROM cycles LEFT JOIN (
        SELECT
            cycle_id, COUNT(DISTINCT transfer_id) AS teams, COUNT(*) AS lines, SUM(amount_micros) AS amount_micros
        FROM usage_lines WHERE cycle_id IS NOT NULL GROUP BY cycle_id
    ) AS found ON found.cycle_id = cycles.id
    ORDER BY cycles.id
"""

LINES_WITHOUT_CYCLE = """
    SELECT usage_lines.segment_id, usage_lines.from_at, usage_lines.cycle_id
    FROM usage_lines LEFT JOIN cycles ON cycles.id = usage_lines.cycle_id
    WHERE usage_lines.cycle_id IS NOT NULL AND cycles.id IS NULL
    ORDER BY usage_lines.segment_id, usage_lines.from_at
"""

HOLDS = """
    SELECT
        holds.*, entries.balance_after_micros,
        (
            SELECT COALESCE(SUM(charged_micros), 0) FROM segments
            WHERE segments.resource_id = holds.resource_id AND segments.resource_type = 'compute'
        ) AS charged_micros
    FROM holds
    LEFT JOIN accounts ON accounts.team_id = holds.team_id
    LEFT JOIN entries ON entries.account_id = accounts.id AND entries.version = holds.account_version
    ORDER BY holds.id
"""

COUNTS = """
    SELECT
        accounts.id, accounts.segments_started, accounts.holds_taken,
        COALESCE(segments_of.count, 0) AS segments, COALESCE(holds_of.count, 0) AS holds
    FROM accounts
    LEFT JOIN (
        SELECT team_id, COUNT(*) AS count FROM segments GROUP BY team_id
    ) AS segments_of ON segments_of.team_id = accounts.team_id
    LEFT JOIN (
        SELECT team_id, COUNT(*) AS count FROM holds GROUP BY team_id
    ) AS holds_of ON holds_of.team_id = accounts.team_id
    WHERE accounts.team_id IS NOT NULL
    ORDER BY accounts.id
"""


def segments_are_tiled(connection: Connection) -> Iterator[str]:
    """Each segment is as it was sealed, and its lines tile it up to where it was charged, by the floor formula."""
    for segment_id, rows in groupby(stream(connection, SEGMENTS_AND_LINES), key=lambda row: row.id):
        for wrong in wrong_with_segment(rows):
            yield f"segment {segment_id} {wrong}"


def wrong_with_segment(rows: Iterator[Any]) -> Iterator[str]:
    """What is wrong with a segment, whose columns are in each row, and with its lines, one a row in order."""
    first = row = next(rows)
    yield from wrong_by_itself(first)
    reached, charged = first.started_at, 0
    for row in chain([first], rows):
        if row.from_at is None:
            continue
        for wrong in wrong_with_line(row, reached, charged):
            yield f"has a usage line from {moment(row.from_at)} {wrong}"
        reached, charged = row.to_at, charged + row.amount_micros
    if reached != row.charged_through:
        yield f"says it is charged up to {moment(row.charged_through)}, and its lines end at {moment(reached)}"
    if charged != row.charged_micros:
        yield f"says it was charged {row.charged_micros}, and its lines come to {charged}"


def wrong_with_line(row: Any, reached: int, charged: int) -> Iterator[str]:
    """What is wrong with a usage line, given how far the lines before it reach and what they come to."""
    if row.line_team_id != row.team_id:
        yield f"of team {row.line_team_id}, and is of team {row.team_id}"
    if row.from_at != reached:
        yield f"and the time before it is charged up to {moment(reached)}"
    if row.to_at <= row.from_at:
        yield "that ends before it begins"
    due = charge_micros(row.rate_micros, row.to_at - row.started_at) - charged
    if row.amount_micros != due:
        yield f"of {row.amount_micros}, and the formula gives {due}"
    if row.cycle_id is None and row.to_at != row.ended_at:
        yield "that belongs to no cycle and is not its last"


def wrong_by_itself(row: Any) -> Iterator[str]:
    """What is wrong with a segment's own columns."""
    sealed = metering.SEALED if row.ended_at is None else metering.SEALED_AT_END
    if row.seal != seal(row._mapping, sealed):
        yield "is not as it was sealed: its rate, its times, its team or its resource was changed"
    if row.charged_micros != charge_micros(row.rate_micros, row.charged_through - row.started_at):
        yield f"was charged {row.charged_micros} up to {moment(row.charged_through)}, which the formula doesn't give"
    if row.ended_at is not None and row.ended_at != row.charged_through:
        yield "ended at another moment than it was charged up to"
    if not row.started_at <= row.charged_through <= row.sighted_at:
        yield "was charged before its start or beyond its last sighting"


def lines_are_paid(connection: Connection) -> Iterator[str]:
    """Each line with an amount belongs to the transfer of its cycle or its segment's end; a line of nothing to none."""
    for row in stream(connection, UNPAID_LINES):
        line = f"the usage line of segment {row.segment_id} from {moment(row.from_at)}"
        if row.found_segment is None:
            yield f"{line} has lost its segment"
        elif row.idempotency_key is None or not row.amount_micros:
            yield f"{line} is of {row.amount_micros} and belongs to transfer {row.transfer_id}"
        else:
            yield f"{line} belongs to transfer {row.transfer_id}, which is not the one that paid it"


def transfers_are_the_sums_of_their_lines(connection: Connection) -> Iterator[str]:
    """What a team paid for machines, and for disks, in a transfer, is the sum of the lines that belong to it."""
    for row in stream(connection, REVENUE_LESS_LINES):
        yield (
            f"transfer {row.transfer_id} and the usage lines that belong to it "
            f"differ by {row.difference_micros} on account {row.account_id}"
        )


def cycles_count_their_lines(connection: Connection) -> Iterator[str]:
    """A cycle's figures are those of its lines, and no line is of a cycle that isn't there."""
    for row in stream(connection, CYCLES_AND_LINES):
        said = (row.teams, row.lines, row.amount_micros)
        found = (row.found_teams, row.found_lines, row.found_micros)
        if said != found:
            yield (
                f"cycle {row.id} counts {said[0]} teams, {said[1]} usage lines and {said[2]}, "
                f"and there are {found[0]}, {found[1]} and {found[2]}"
            )
    for row in stream(connection, LINES_WITHOUT_CYCLE):
        yield f"the usage line of segment {row.segment_id} from {moment(row.from_at)} has lost its cycle {row.cycle_id}"


def holds_are_used_up(connection: Connection) -> Iterator[str]:
    """No hold was beyond the balance of its moment, and the machine's charges since, no others, have used it up."""
    for row in stream(connection, HOLDS):
        is_open = row.released_at is None
        hold = f"the hold {row.id} of machine {row.resource_id}"
        if row.seal != seal(row._mapping, holds.SEALED if is_open else holds.SEALED_AT_RELEASE):
            yield f"{hold} is not as it was sealed"
        if is_open != (row.charged_after_micros is None):
            yield f"{hold} is open and has figures of its release, or the other way round"
            continue
        balance_micros = row.balance_after_micros if row.account_version else 0
        if balance_micros is None or not row.amount_micros <= row.available_micros <= balance_micros:
            yield (
                f"{hold} is of {row.amount_micros} of {row.available_micros} available, "
                f"and the balance was {balance_micros} then"
            )
        charged_after = row.charged_micros if is_open else row.charged_after_micros
        used = charged_after - row.charged_before_micros
        if not 0 <= row.charged_before_micros <= charged_after <= row.charged_micros:
            yield f"{hold} counts charges that the machine's segments don't have"
        elif row.remaining_micros != max(0, row.amount_micros - used):
            yield f"{hold} of {row.amount_micros} has {row.remaining_micros} left after charges of {used}"


def nothing_is_missing(connection: Connection) -> Iterator[str]:
    """There are as many segments and holds of each team as there ever were."""
    for row in stream(connection, COUNTS):
        if row.segments != row.segments_started:
            yield f"account {row.id} counts {row.segments_started} segments, and there are {row.segments}"
        if row.holds != row.holds_taken:
            yield f"account {row.id} counts {row.holds_taken} holds, and there are {row.holds}"
