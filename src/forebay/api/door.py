"""From a request to an answer: read, let in, carried out in one transaction, written.

The order is always the same: the credential and its rate limit, then the body, then permission and effect in one
transaction, then commit, then the nudge to whoever carries the rest out. The domain raises, this file alone turns
errors into answers and commits.
"""

import asyncio
import hashlib
import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from forebay.api.call import ALL_ROWS, Asker, Call, Incoming, Services, Tally, TooManyRows
from forebay.api.denials import Denials
from forebay.api.envelope import refusal, written
from forebay.api.limits import RateLimiter
from forebay.api.reading import read_body, read_query
from forebay.api.route import Needs, Route
from forebay.domain.people import credentials, retries
from forebay.domain.people.access import NOUNS, Caller, Credential, Denied, Stranger, Target, enter
from forebay.domain.people.activity import Denial
from forebay.domain.people.invitations import InvitationNotYours
from forebay.domain.people.retries import Answer, RetryKey
from forebay.domain.people.roles import Permission
from forebay.errors import BadRequest, Conflict, Forbidden, ForebayError, NotFound, Unauthenticated, Unavailable
from forebay.ids import is_id

log = logging.getLogger("forebay.access")
errors = logging.getLogger("forebay.errors")

INLINE_ROWS = 100
WITH_ONE_FACTOR = ("/api/auth/",)
"""What a session of one factor may do where two are asked for: set up the second."""
API_ACCESS = "/api/api-access"
"""Where a suspended key may still look why it is."""
OBJECTS = {Target.team: "team", Target.deployment: "deployment", Target.ssh_key: "ssh-key"}
"""What a refusal was about, in the activity."""
SEEN_SECONDS = 60
"""How fresh the record of a session's last use is kept."""
LOOKS = 4
THREADS = 8
"""More only fight for the interpreter: measured best for reads on PostgreSQL on two processors."""
RETRY_KEY = re.compile("[!-~]{1,255}")


class Asked(msgspec.Struct, frozen=True):
    """A request that was read: what it is for, what it carries."""

    route: Route
    incoming: Incoming
    credential: Credential | None
    query: Any
    body: Any
    prepared: Any = None


class Door:
    """Carries requests out. One for each server."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.limiter = RateLimiter(services.clock)
        self.executor = ThreadPoolExecutor(THREADS, thread_name_prefix="forebay-request")
        # Passwords take long: they wait for each other here, and nothing else waits for them.
        self.slow_executor = ThreadPoolExecutor(2, thread_name_prefix="forebay-password")
        # As do those that look into machines, which may take their time to answer.
        self.look_executor = ThreadPoolExecutor(LOOKS, thread_name_prefix="forebay-look-request")
        self.tallies: dict[tuple[str, str, int], Tally] = {}
        self.uses: dict[str, tuple[datetime, str]] = {}
        self.seen: dict[str, datetime] = {}
        self.denials = Denials()

    async def handle(self, route: Route, incoming: Incoming) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer. Nothing that is raised gets past here."""
        began = time.perf_counter()
        if route.is_inline and self.services.database.is_sqlite:
            try:
                answer = self.answer(route, incoming, is_inline=True)
            except TooManyRows:
                answer = await self.in_thread(route, incoming)
        else:
            answer = await self.in_thread(route, incoming)
        self.note(route, incoming, answer[0], time.perf_counter() - began)
        return answer

    async def in_thread(self, route: Route, incoming: Incoming) -> tuple[int, dict[str, str], bytes]:
        """Carry the request out beside the event loop."""
        executor = self.executor if route.before is None else self.slow_executor
        if route.finish is not None or route.asks_elsewhere:
            executor = self.look_executor
        return await asyncio.get_running_loop().run_in_executor(executor, self.answer, route, incoming)

    def note(self, route: Route, incoming: Incoming, status: int, seconds: float) -> None:
        """Count the request for the metrics; log what changed something or went wrong.

        Never a query string: it may hold a token.
        """
        tally = self.tallies.get((route.method, route.path, status))
        if tally is None:
            tally = self.tallies[route.method, route.path, status] = Tally()
        tally.count += 1
        tally.seconds += seconds
        if route.method != "GET" or status >= 400:
            log.info(
                "request",
                extra={
                    "method": route.method,
                    "path": incoming.path if "token" not in route.path else route.path,
                    "status": status,
                    "milliseconds": round(seconds * 1000, 1),
                    "address": incoming.address,
                },
            )

    def answer(
        self, route: Route, incoming: Incoming, *, is_inline: bool = False, is_retry: bool = False
    ) -> tuple[int, dict[str, str], bytes]:
        """The answer, with every error made into one."""
        try:
            return self.carry_out(route, incoming, is_inline=is_inline)
        except ForebayError as error:
            return refusal(error)
        except TooManyRows:
            raise
        except (OperationalError, PoolTimeout) as error:
            is_cut = isinstance(error, OperationalError) and error.connection_invalidated
            if is_cut and not route.writes and not is_retry:
                return self.answer(route, incoming, is_inline=is_inline, is_retry=True)
            errors.warning("database busy or away", extra={"path": route.path, "reason": type(error).__name__})
            return refusal(Unavailable("The database does not answer at this moment. Try again."))
        except Exception as error:
            # Parameters of a failed statement may be secrets: only the kind of the error is logged for those.
            is_sql = isinstance(error, DBAPIError)
            errors.error(
                "request failed", exc_info=not is_sql, extra={"path": route.path, "kind": type(error).__name__}
            )
            return refusal(ForebayError("Something went wrong on our side. Nothing was changed."))

    def carry_out(self, route: Route, incoming: Incoming, *, is_inline: bool) -> tuple[int, dict[str, str], bytes]:
        """Let in, read, run. Raises ForebayError."""
        credential = self.credential(route, incoming)
        if not route.writes:
            database = self.services.database
            if not is_inline:
                with database.read() as connection:
                    result = self.read(route, incoming, credential, connection, most_rows=ALL_ROWS)
                if route.finish is not None:
                    result = route.finish(self.services, result)
                return route.status, *written(result)
            try:
                result = self.read(route, incoming, credential, database.inline, most_rows=INLINE_ROWS)
                return route.status, *written(result)
            finally:
                database.end_inline()
        return self.write(route, incoming, credential)

    def read(
        self, route: Route, incoming: Incoming, credential: Credential | None, connection: Connection, *, most_rows: int
    ) -> Any:
        """What the function of a request that changes nothing returns."""
        call = self.call(incoming, connection)
        call.most_rows = most_rows
        try:
            query = None if route.query is None else read_query(route.query, incoming.query)
            body: Any = None if route.body is None else read_body(route.body, incoming.body)
            asked = Asked(route, incoming, credential, query, body)
            wanted_id = self.target_id(asked)
        except ForebayError:
            # Who asks comes first: without a good key nobody is told what is wrong, and everybody is counted.
            self.identify(call, route, credential)
            raise
        try:
            self.admit(call, route, credential, wanted_id, counts=True)
            result = self.invoke(call, asked)
        except (Forbidden, Stranger) as error:
            self.note_denial(call, route, wanted_id, error)
            raise
        return result

    def write(
        self, route: Route, incoming: Incoming, credential: Credential | None
    ) -> tuple[int, dict[str, str], bytes]:
        """A request that changes something. Who asks is found first without the writer's lock, then again under it."""
        person = None
        if credential is not None:
            with self.services.database.read() as connection:
                call = self.call(incoming, connection)
                self.identify(call, route, credential)
                person = call.caller
        query = None if route.query is None else read_query(route.query, incoming.query)
        body: Any = None if route.body is None else read_body(route.body, incoming.body)
        asked = Asked(route, incoming, credential, query, body)
        wanted_id = self.target_id(asked)
        retry = self.retry(route, incoming, person)
        asker = Asker(incoming, person)
        if retry is None:
            status, payload, nudges = self.commit(self.prepare(asked, asker))
        else:
            with self.services.database.begin() as connection:
                claim = retries.begin(connection, retry, now=self.services.clock.now())
            if isinstance(claim, Answer):
                # What may not be asked any more is not answered again either.
                with self.services.database.read() as connection:
                    self.admit(self.call(incoming, connection), route, credential, wanted_id, counts=False)
                return self.replay(route, claim)
            status, payload, nudges = self.commit_once(asked, asker, retry, claim)
        for name in nudges:
            self.services.nudge(name)
        return status, {}, payload

    def prepare(self, asked: Asked, asker: Asker) -> Asked:
        """What was asked, with what `before` returns; who may not do what follows has nothing done for them."""
        route = asked.route
        if route.before is None:
            return asked
        if route.target is not Target.nothing:
            with self.services.database.read() as connection:
                self.admit_noting(self.call(asked.incoming, connection), asked)
        return msgspec.structs.replace(asked, prepared=route.before(self.services, asked.body, asker))

    def admit_noting(self, call: Call, asked: Asked) -> None:
        """As `admit`, with a refusal counted for the activity."""
        wanted_id = self.target_id(asked)
        try:
            self.admit(call, asked.route, asked.credential, wanted_id, counts=False)
        except (Forbidden, Stranger) as error:
            self.note_denial(call, asked.route, wanted_id, error)
            raise

    def commit_once(self, asked: Asked, asker: Asker, retry: RetryKey, claim: str) -> tuple[int, bytes, list[str]]:
        """Run under an idempotency key: the answer is stored with the effect.

        A refusal is stored too, but for 401, 429 and 5xx.
        """
        try:
            return self.commit(self.prepare(asked, asker), retry, claim)
        except ForebayError as error:
            status, _, payload = refusal(error)
            with self.services.database.begin() as connection:
                if status in (401, 429) or status >= 500:
                    retries.forget(connection, retry, claim)
                else:
                    retries.keep(connection, retry, claim, Answer(status, payload))
            raise
        except Exception:
            with self.services.database.begin() as connection:
                retries.forget(connection, retry, claim)
            raise

    def commit(self, asked: Asked, retry: RetryKey | None = None, claim: str = "") -> tuple[int, bytes, list[str]]:
        """Permission and effect in one transaction, with the answer beside them where a retry may ask for it."""
        route = asked.route
        with self.services.database.begin() as connection:
            call = self.call(asked.incoming, connection)
            wanted_id = self.target_id(asked)
            try:
                self.admit(call, route, asked.credential, wanted_id, counts=False)
                result = self.invoke(call, asked)
            except (Forbidden, Stranger) as error:
                self.note_denial(call, route, wanted_id, error)
                raise
            _, payload = written(result)
            if retry is not None:
                kept = payload if route.is_replayable else b""
                retries.keep(connection, retry, claim, Answer(route.status, kept))
        return route.status, payload, call.nudges

    def replay(self, route: Route, answer: Answer) -> tuple[int, dict[str, str], bytes]:
        """The stored answer; one that held a secret is never given again."""
        if not route.is_replayable and answer.status == route.status:
            raise Conflict("This was done already, and its answer is shown only once.", code="ALREADY_DONE")
        return answer.status, {"idempotency-replayed": "true"}, answer.body

    def retry(self, route: Route, incoming: Incoming, person: Caller | None) -> RetryKey | None:
        """The idempotency key of the request, if it has one that counts. Raises BadRequest."""
        if incoming.retry_key is None or person is None or not route.takes_retry_key:
            return None
        if RETRY_KEY.fullmatch(incoming.retry_key) is None:
            # An empty one too: whoever sends it believes to be safe from doing something twice.
            reason = "1 to 255 visible ASCII characters, no spaces"
            raise BadRequest("The Idempotency-Key is not usable.", details={"Idempotency-Key": reason})
        digest = hashlib.sha256(incoming.query + b"\0" + incoming.body).hexdigest()
        # What opens a door is not kept, here neither.
        path = incoming.path if "token" not in route.path else hashlib.sha256(incoming.path.encode()).hexdigest()
        return RetryKey(person.user_id, route.method, path[:300], incoming.retry_key, digest)

    def call(self, incoming: Incoming, connection: Connection) -> Call:
        """A fresh call on this connection."""
        return Call(self.services, incoming, connection, self.services.clock.now())

    def credential(self, route: Route, incoming: Incoming) -> Credential | None:
        """What the request carries, hashed; None where none is needed. Raises Unauthenticated for what can't be one.

        Where none is needed, a good one still moves a read from its address's limit to its own. Never a sign-in: that
        would let whoever has a key guess passwords at the key's pace.
        """
        is_open = route.needs is Needs.nothing
        if is_open and (route.writes or not incoming.authorization):
            if route.is_counted:
                self.limiter.count(incoming.address, self.services.settings.rate_limit_anonymous)
            return None
        scheme, _, token = incoming.authorization.partition(" ")
        token = token.strip()
        is_key = credentials.is_well_formed(token, self.services.settings.api_key_prefix)
        if scheme.lower() == "bearer" and (is_key or credentials.is_well_formed(token, credentials.SESSION_PREFIX)):
            return Credential(credentials.hash_token(token, self.services.secret_key), is_key, incoming.address)
        self.limiter.count(incoming.address, self.services.settings.rate_limit_anonymous)
        if is_open:
            return None
        raise Unauthenticated

    def identify(self, call: Call, route: Route, credential: Credential | None) -> None:
        """Put who asks into the call and count them, whatever they want. Raises Unauthenticated, RateLimitExceeded."""
        self.admit(call, msgspec.structs.replace(route, target=Target.nothing), credential, None, counts=True)

    def admit(
        self, call: Call, route: Route, credential: Credential | None, wanted_id: str | None, *, counts: bool
    ) -> None:
        """Put who asks, and their team, into the call.

        Raises Unauthenticated, NotFound, Forbidden, RateLimitExceeded.
        """
        if credential is None:
            return
        target = Target.team if route.target is Target.current and wanted_id else route.target
        settings = self.services.settings
        try:
            call.person, call.team_or_none = enter(call.connection, credential, target, wanted_id, now=call.now)
        except Unauthenticated:
            self.limiter.count(credential.address, settings.rate_limit_anonymous)
            if route.needs is Needs.nothing:
                return
            raise
        except ForebayError:
            # Whoever is known is counted, also where what they ask for is not found.
            if counts:
                self.count_known(credential)
            raise
        if counts:
            self.count_known(credential)
        self.note_use(call.person, call.now)
        if not route.path.startswith(WITH_ONE_FACTOR):
            call.person.demand_second_factor(settings.require_second_factor)
        if route.needs is not Needs.nothing and route.path != API_ACCESS:
            call.person.demand_api_access(settings.api_access)
        if route.needs is Needs.session:
            call.demand_session()
        elif route.needs is Needs.operator:
            call.demand_operator()
        if isinstance(route.needs, Permission) and call.team_or_none is not None and target is not Target.nothing:
            call.team_or_none.demand(route.needs)
        if route.is_recent:
            call.demand_recent()

    def note_use(self, caller: Caller, now: datetime) -> None:
        """Remember when and from where a key was used, and when a session was, about once a minute."""
        if caller.api_key_id is not None:
            self.uses[caller.api_key_id] = (now, caller.address)
        elif caller.session_id is not None and int(now.timestamp()) - (caller.last_used_at or 0) >= SEEN_SECONDS:
            self.seen[caller.session_id] = now

    def note_denial(self, call: Call, route: Route, wanted_id: str | None, error: Forbidden | Stranger) -> None:
        """Count a refusal for the activity of the team it happened in, if there is one."""
        if isinstance(error, Stranger):
            denied, permission = error.denied, ""
        elif isinstance(error, InvitationNotYours):
            denied, permission = error.denied, error.code
        elif call.person is not None and call.team_or_none is not None:
            denied = Denied(call.person, call.team_or_none.team_id)
            permission = str(error.details.get("permission") or error.code)
        else:
            return
        kind = OBJECTS.get(route.target)
        object_id = wanted_id if kind else None
        request = f"{route.method} {route.path}"
        self.denials.note(denied, request, permission, call.now, object_type=kind, object_id=object_id)

    def count_known(self, credential: Credential) -> None:
        """Count a request of a credential against its own limit."""
        self.limiter.count(credential.secret_hash, self.services.settings.rate_limit_key)

    def target_id(self, asked: Asked) -> str | None:
        """The id that names the team. What is no id can't exist: NotFound."""
        route = asked.route
        source, _, name = route.target_from.partition(":")
        found: str | None = None
        if source == "path":
            found = asked.incoming.parameters.get(name)
        elif source in ("query", "body"):
            found = getattr(asked.query if source == "query" else asked.body, "team_id", None)
        if source == "body" and route.target is Target.team and not found:
            sentence = "Team ID is required for authenticated deployments"
            raise BadRequest(sentence, code="TEAM_REQUIRED", details={"teamId": "required"})
        if found and not is_id(found):
            raise NotFound(NOUNS.get(route.target, "Team"))
        if "\0" in asked.incoming.path:
            raise NotFound
        return found

    def invoke(self, call: Call, asked: Asked) -> Any:
        """Call the route's function with what it takes."""
        route = asked.route
        values: dict[str, Any] = dict(asked.incoming.parameters)
        if route.query is not None:
            values["query"] = asked.query
        if route.body is not None:
            values["body"] = asked.body
        if route.before is not None:
            values["prepared"] = asked.prepared
        return route.function(call, **values)

    def take_uses(self) -> list[tuple[str, datetime, str]]:
        """The last uses of keys since this was last asked."""
        uses, self.uses = self.uses, {}
        return [(key_id, at, address) for key_id, (at, address) in uses.items()]

    def take_denials(self, now: datetime | None) -> list[Denial]:
        """The refusals of minutes that are over; without `now` all."""
        return self.denials.take(now)

    def take_seen(self) -> list[tuple[str, datetime]]:
        """When sessions were used since this was last asked."""
        seen, self.seen = self.seen, {}
        return list(seen.items())

    def close(self) -> None:
        """Let running requests end."""
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.slow_executor.shutdown(wait=True, cancel_futures=True)
        self.look_executor.shutdown(wait=True, cancel_futures=True)
