"""Signing in and out, and the accounts that may: decisions, with their audit, in one transaction each."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge

from schemas.access import Grant
from schemas.base import Name
from schemas.regions import RegionTree
from schemas.rest import Credentials, NewUser, OwnPassword, UserChange
from services.gateway import store
from services.gateway.audit import Audit
from services.gateway.credentials import FirstUser
from services.gateway.domain.access import Principal, digest, home
from services.gateway.domain.proxies import network
from services.gateway.domain.repeats import SYSTEM, UNKNOWN, Act
from services.gateway.errors import Conflict, Locked, Unauthorised, WrongCredentials
from services.gateway.passwords import Passwords
from services.gateway.settings import GatewaySettings
from services.kit import database, logs
from services.kit.clock import Clock

_log = logs.get(__name__)

SESSION_BYTES = 32
SEEN_EVERY = timedelta(minutes=1)
"""How exactly it is known when a session was last in use: not every request should write."""
AUDIT_KEPT = timedelta(days=401)
"""A day longer than is promised: the database refuses to let go what is younger than 400."""


@dataclass(frozen=True)
class SignedIn:
    """A session and whose it is."""

    id: str
    """What the browser holds; we keep its SHA-256 only."""
    principal: Principal
    expires_at: datetime

    @property
    def csrf(self) -> str:
        """The token that a change must bring: made from the session's id, from which no other page can make it."""
        return hmac.new(self.id.encode("utf-8", "surrogatepass"), b"csrf", hashlib.sha256).hexdigest()


class Accounts:
    """The users of this city."""

    def __init__(
        self,
        *,
        tree: RegionTree,
        pool: database.Pool,
        audit: Audit,
        passwords: Passwords,
        clock: Clock,
        settings: GatewaySettings,
        registry: CollectorRegistry,
    ) -> None:
        self._tree = tree
        self._pool = pool
        self._audit = audit
        self._passwords = passwords
        self._clock = clock
        self._idle = settings.session_idle
        self._longest = settings.session_longest
        self._limits = {
            "user_everywhere": store.Limit(settings.lockout_user_everywhere, settings.lockout_window, settings.lockout_for),
            "user": store.Limit(settings.lockout_user, settings.lockout_window, settings.lockout_for),
            "address": store.Limit(settings.lockout_address, settings.lockout_window, settings.lockout_for),
        }
        self._window = settings.lockout_window
        self._tries = Counter("tongguan_sign_ins", "Tries to sign in, by result", ["result"], registry=registry)
        self._lockouts = Counter("tongguan_lockouts", "Users and addresses locked after wrong passwords", ["of"], registry=registry)
        self._open = Gauge("tongguan_sessions", "Sessions under way, as counted a while ago", registry=registry)

    # -- sessions

    async def sign_in(self, credentials: Credentials, address: str, replaces: str | None) -> SignedIn:
        """Open a session for a local user, in the place of the one that the browser had.

        Raises `Locked` before any password is looked at, `WrongCredentials`, `TooMany`, `Overloaded`, `Unavailable`.
        Tries that are under way together may exceed the limits by as many as are looked at a time.
        """
        account, better = await self._proven(credentials, address)
        self._audit.keep_pace(account.id)

        async def commit() -> SignedIn | None:
            async with self._pool.acquire() as connection, connection.transaction():
                present = await store.account(connection, account.id, hold=True)
                if present is None or present.disabled or present.password != account.password:
                    return None  # it was changed meanwhile
                if better is not None:
                    await store.change(connection, account.id, password=better)
                await store.forgive(connection, account.id)
                return await self._opened(connection, present, address, replaces)

        signed_in = await database.once(commit, what="sign in")
        if signed_in is None:
            raise await self._wrong(account.id, address, account, "changed_meanwhile")
        return self._welcome(signed_in)

    async def change_own_password(self, user: str, wanted: OwnPassword, address: str, keep: bytes) -> None:
        """Change a local user's password, by who knows the present one; all sessions end but the one to `keep`.

        A wrong one counts as at the sign-in, whose errors it raises; `Conflict` when the user was changed meanwhile.
        """
        account, _ = await self._proven(Credentials(user=user, password=wanted.present), address)
        await self.change(account, UserChange(password=wanted.new), user, address, keep)

    async def vouched_for(self, user: str, name: Name, grants: Sequence[Grant], *, provider: str, address: str, replaces: str | None) -> SignedIn:
        """Open a session for a user whom a provider vouches for; name and grants are kept as it says them now.

        When the grants are others than before, the user's other sessions end. Raises `WrongCredentials` for a disabled user, or one of that
        id whom another vouches for; `TooMany`, `Unavailable`.
        """
        self._audit.keep_pace(user)

        async def commit() -> SignedIn:
            async with self._pool.acquire() as connection, connection.transaction():
                now = self._clock.now()
                region = home(grants, self._tree)
                if await store.add(connection, user, name, now, provider=provider):
                    await self._audit.write(connection, Act(SYSTEM, "user.create", f"user/{user}", address, region, detail={"provider": provider}))
                account = await store.account(connection, user, hold=True)
                if account is None or account.disabled or account.provider != provider:
                    raise WrongCredentials("this user may not sign in here")
                if account.grants != tuple(grants):
                    await store.grant(connection, user, grants)
                    await store.end_sessions(connection, user)
                    await self._audit.write(connection, Act(SYSTEM, "user.change", f"user/{user}", address, region, detail={"grants": told(grants)}))
                await store.change(connection, user, name=name)
                present = await store.account(connection, user)
                assert present is not None  # noqa: S101 - it is held
                return await self._opened(connection, present, address, replaces)

        return self._welcome(await database.once(commit, what="sign in"))

    async def refused(self, user: str, address: str, reason: str) -> None:
        """Note that somebody was refused a session; `user` is one whom we or the provider know, or `UNKNOWN`."""
        self._tries.labels(reason).inc()
        await self._audit.refused(Act(user, "session.refuse", f"user/{user}", address, reason=reason))

    async def session(self, id_: str) -> SignedIn:
        """Return a session under way, which by this is in use. Raises `Unauthorised`, `Unavailable`."""
        now, known = self._clock.now(), digest(id_)

        async def find() -> store.Opened | None:
            async with self._pool.acquire() as connection:
                found = await store.session(connection, known, now, self._idle)
                if found is not None and now - found.seen_at > SEEN_EVERY:
                    await store.seen(connection, [known], now, now - SEEN_EVERY)
                return found

        found = await database.once(find, what="look up a session")
        if found is None:
            raise Unauthorised("not signed in, or the session has ended")
        return SignedIn(id_, _principal(found.account), min(found.ends_at, now + self._idle))

    async def sign_out(self, id_: str, address: str) -> None:
        """End a session; one that has ended already is no error. Raises `Unavailable`."""

        async def commit() -> None:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._close(connection, id_, address)

        await database.once(commit, what="sign out")
        self._audit.wake()

    async def alive(self, digests: Sequence[bytes]) -> set[bytes]:
        """Return which of some sessions have not ended; these are in use. Raises `Unavailable`."""
        now = self._clock.now()

        async def find() -> set[bytes]:
            async with self._pool.acquire() as connection:
                found = await store.alive(connection, digests, now, self._idle)
                await store.seen(connection, list(found), now, now - SEEN_EVERY)
                return found

        return await database.once(find, what="look up sessions")

    async def tidy(self) -> None:
        """Delete what has had its time, of the audit last, and count the sessions. Raises `Unavailable`, and what the database refuses."""
        now = self._clock.now()

        async def commit() -> int:
            async with self._pool.acquire() as connection, connection.transaction():
                await store.tidy(connection, now, self._idle, self._window)
                return await store.count_sessions(connection, now, self._idle)

        async def forget() -> None:
            async with self._pool.acquire() as connection:
                await store.tidy_audit(connection, AUDIT_KEPT)

        self._open.set(await database.once(commit, what="tidy up"))
        await database.once(forget, what="tidy the audit up")

    # -- users

    async def make_missing(self, users: Iterable[FirstUser]) -> None:
        """Make the users that are not there; waits for the database."""
        wanted = {user.id: user for user in users}
        async with self._pool.acquire() as connection:
            there = await store.known(connection, wanted)
        for user in (user for id_, user in wanted.items() if id_ not in there):
            async with self._passwords.slot():
                password = await self._passwords.hash(user.password)
            async with self._pool.acquire() as connection, connection.transaction():
                await self._make(connection, user, password, SYSTEM, "-")
        self._audit.wake()

    async def users(self) -> list[store.Account]:
        """Return all users. Raises `Unavailable`."""

        async def find() -> list[store.Account]:
            async with self._pool.acquire() as connection:
                return await store.accounts(connection)

        return await database.once(find, what="read users")

    async def user(self, id_: str) -> store.Account | None:
        """Return a user. Raises `Unavailable`."""

        async def find() -> store.Account | None:
            async with self._pool.acquire() as connection:
                return await store.account(connection, id_)

        return await database.once(find, what="read a user")

    async def create(self, user: NewUser, by: str, address: str) -> store.Account:
        """Make a local user. Raises `Conflict` when there is one of that id, `TooMany`, `Unavailable`, `Overloaded`."""
        self._audit.keep_pace(by)
        async with self._passwords.slot():
            password = await self._passwords.hash(user.password)

        async def commit() -> store.Account:
            async with self._pool.acquire() as connection, connection.transaction():
                return await self._make(connection, user, password, by, address)

        made = await database.once(commit, what="make a user")
        self._audit.wake()
        return made

    async def change(self, before: store.Account, change: UserChange, by: str, address: str, keep: bytes) -> store.Account:
        """Change a user as it was known before; sessions end when what they stand on has changed, but for the one to `keep`.

        Raises `Conflict` when it was changed meanwhile, `TooMany`, `Unavailable`, `Overloaded`.
        """
        self._audit.keep_pace(by)
        password: str | None = None
        if change.password is not None:
            async with self._passwords.slot():
                password = await self._passwords.hash(change.password)

        async def commit() -> store.Account:
            async with self._pool.acquire() as connection, connection.transaction():
                present = await store.account(connection, before.id, hold=True)
                if present is None or (present.grants, present.disabled, present.provider) != (before.grants, before.disabled, before.provider):
                    raise Conflict("the user was changed meanwhile; look again")
                await store.change(connection, before.id, name=change.name, password=password, disabled=change.disabled)
                if change.grants is not None:
                    await store.grant(connection, before.id, change.grants)
                if password is not None:
                    await store.forgive(connection, before.id)
                if password is not None or change.grants is not None or change.disabled:
                    await store.end_sessions(connection, before.id, but=keep)
                after = await store.account(connection, before.id)
                assert after is not None  # noqa: S101 - it is held
                region = home((*before.grants, *after.grants), self._tree)
                await self._audit.write(connection, Act(by, "user.change", f"user/{before.id}", address, region, detail=_told_change(change)))
                return after

        changed = await database.once(commit, what="change a user")
        self._audit.wake()
        return changed

    # -- within a transaction

    async def _proven(self, credentials: Credentials, address: str) -> tuple[store.Account, str | None]:
        """Return whose password it is, and a better hash of it where there should be one. Raises as `sign_in` does."""
        async with self._passwords.slot():
            account = await self._unlocked(credentials.user, address)
            checked = await self._passwords.check(account.password if account else None, credentials.password)
            if account is None or account.disabled or not checked.right:
                reason = "disabled" if account and checked.right else "wrong_credentials"
                raise await self._wrong(credentials.user, address, account, reason)
            return account, checked.better

    async def _unlocked(self, user: str, address: str) -> store.Account | None:
        """Return who wants to sign in, None when there is none of that id; raises `Locked`."""
        now = self._clock.now()

        async def find() -> tuple[datetime | None, store.Account | None]:
            async with self._pool.acquire() as connection:
                until = await store.locked_until(connection, [one.subject for one in self._against(user, address)], now)
                return until, await store.account(connection, user)

        until, account = await database.once(find, what="look up a user")
        if until is not None:
            await self.refused(UNKNOWN if account is None else user, address, "locked")
            raise Locked(math.ceil((until - now).total_seconds()))
        return account

    async def _wrong(self, user: str, address: str, account: store.Account | None, reason: str) -> WrongCredentials:
        """Count a wrong password against the user, here and everywhere, and the network, and audit it; returns what to raise."""
        self._tries.labels(reason).inc()
        who, region = UNKNOWN if account is None else account.id, self._home(account)

        async def commit() -> list[str]:
            async with self._pool.acquire() as connection, connection.transaction():
                now = self._clock.now()
                locks = [one.of for one in self._against(user, address) if await store.failed(connection, one, now)]
                await self._audit.refuse(connection, Act(who, "session.refuse", f"user/{who}", address, region, reason))
                for of in locks:
                    subject = f"address/{network(address)}" if of == "address" else f"user/{who}"
                    await self._audit.write(connection, Act(SYSTEM, "session.lock", subject, address, region, detail={"of": of}))
                return locks

        for of in await database.once(commit, what="count a wrong password"):
            self._lockouts.labels(of).inc()
        self._audit.wake()
        return WrongCredentials("no such user, or another password")

    def _against(self, user: str, address: str) -> list[store.Against]:
        """Return what a wrong password counts against, always in one order: transactions hold these rows."""
        whose, net = store.hidden(user), network(address)
        subjects = {
            "user_everywhere": (f"user/{whose}", whose),
            "user": (f"user/{whose}/{net}", whose),
            "address": (f"address/{net}", None),
        }
        return [store.Against(of, subject, whom, self._limits[of]) for of, (subject, whom) in subjects.items()]

    async def _opened(self, connection: database.Connection, account: store.Account, address: str, replaces: str | None) -> SignedIn:
        if replaces is not None:
            await self._close(connection, replaces, address)
        id_, now = secrets.token_urlsafe(SESSION_BYTES), self._clock.now()
        ends_at = now + self._longest
        await store.open_session(connection, digest(id_), account.id, now, ends_at, address)
        region = home(account.grants, self._tree)
        await self._audit.write(connection, Act(account.id, "session.open", f"user/{account.id}", address, region))
        return SignedIn(id_, _principal(account), min(ends_at, now + self._idle))

    async def _close(self, connection: database.Connection, id_: str, address: str) -> None:
        if (user := await store.end_session(connection, digest(id_))) is not None:
            region = self._home(await store.account(connection, user))
            await self._audit.write(connection, Act(user, "session.close", f"user/{user}", address, region))

    async def _make(self, connection: database.Connection, user: NewUser | FirstUser, password: str, by: str, address: str) -> store.Account:
        if not await store.add(connection, user.id, user.name, self._clock.now(), password=password):
            raise Conflict(f"there is a user {user.id} already")
        await store.grant(connection, user.id, user.grants)
        region = home(user.grants, self._tree)
        await self._audit.write(connection, Act(by, "user.create", f"user/{user.id}", address, region, detail={"grants": told(user.grants)}))
        made = await store.account(connection, user.id)
        assert made is not None  # noqa: S101 - it was just made
        return made

    def _home(self, account: store.Account | None) -> str | None:
        return None if account is None else home(account.grants, self._tree)

    def _welcome(self, signed_in: SignedIn) -> SignedIn:
        self._tries.labels("done").inc()
        self._audit.wake()
        return signed_in


def told(grants: Sequence[Grant]) -> str:
    """Return grants as one line of text."""
    return "; ".join(":".join([one.role, one.region, *([",".join(sorted(one.departments))] if one.departments else [])]) for one in grants) or "none"


def _told_change(change: UserChange) -> dict[str, str]:
    detail = {"password": "changed"} if change.password is not None else {}
    if change.name is not None:
        detail["name"] = change.name.zh
    if change.grants is not None:
        detail["grants"] = told(change.grants)
    if change.disabled is not None:
        detail["disabled"] = str(change.disabled).lower()
    return detail


def _principal(account: store.Account) -> Principal:
    return Principal(account.id, account.name, account.grants)
