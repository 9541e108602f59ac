"""People with browsers, for tests of the gateway: users to begin with, and a client that keeps its cookie and CSRF token."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx

from schemas.rest import Session
from tests.integration.parts import Service
from tests.unit.gateway.city import CITY, DISTRICT, OTHER_DISTRICT, STREET, name

ROLES: dict[str, list[dict[str, Any]]] = {
    "city": [{"role": "city", "region": CITY}],
    "district": [{"role": "district", "region": DISTRICT}],
    "street": [{"role": "street", "region": STREET}],
    "field": [{"role": "field", "region": STREET}],
    "department": [{"role": "department", "region": CITY, "departments": ["d"]}],
    "rule-author": [{"role": "rule_author", "region": CITY}],
    "auditor": [{"role": "auditor", "region": CITY}],
    "admin": [{"role": "admin", "region": CITY}],
    "district-auditor": [{"role": "auditor", "region": DISTRICT}],
    "district-admin": [{"role": "admin", "region": DISTRICT}],
    "other-district": [{"role": "district", "region": OTHER_DISTRICT}],
    "nobody": [],
}


def password(user: str) -> str:
    return f"long-enough-{user}"


def user(id_: str, grants: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": id_, "name": name(id_).model_dump(), "password": password(id_), "grants": grants}


PEOPLE = [user(id_, grants) for id_, grants in ROLES.items()]


class Browser:
    """Somebody's, from an address of its own, so that tests lock each other out only when they mean to."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.session: Session | None = None

    async def sign_in(self, user: str, secret: str | None = None) -> httpx.Response:
        answer = await self.client.post("/v1/session", json={"user": user, "password": secret or password(user)})
        if answer.is_success:
            self.session = Session.model_validate(answer.json())
        return answer

    async def get(self, path: str) -> httpx.Response:
        return await self.client.get(path)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Change something, as our pages do."""
        csrf = {"X-CSRF-Token": self.session.csrf} if self.session else {}
        return await self.client.request(method, path, json=body, headers=csrf | headers)

    @property
    def cookie(self) -> dict[str, str]:
        """The header that a handshake of this browser has."""
        return {"Cookie": "; ".join(f"{one.name}={one.value}" for one in self.client.cookies.jar)}


@contextlib.asynccontextmanager
async def browser(gateway: Service, user: str | None = None, *, address: str | None = None) -> AsyncIterator[Browser]:
    """Yield a browser in which somebody is signed in, or nobody; the user's name gives it its address."""
    digits = sum(user.encode()) if user else 0
    headers = {"X-Forwarded-For": address or f"10.1.{digits // 256}.{digits % 256}"}
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20, headers=headers) as client:
        one = Browser(client)
        if user is not None:
            answer = await one.sign_in(user)
            assert answer.status_code == 200, answer.text
        yield one


def set_cookies(answer: httpx.Response) -> list[str]:
    return [re.sub(r"expires=[^;]*; ", "", header) for header in answer.headers.get_list("set-cookie")]
