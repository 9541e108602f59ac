"""How the pages are served: what may be kept, what may run, and what stands there when they are not built."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from services.gateway.http import SECURITY_HEADERS, add_pages


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page"


@pytest.fixture
def built(page: Path) -> None:
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html>统管")
    (page / "secret.txt").write_text("not a page")
    for asset in ("index-B7x_9aQz.js", "map-DkP03-xy.css", "plain.svg"):
        (page / "assets" / asset).write_text("of " + asset)


@pytest.fixture
async def client(page: Path) -> AsyncIterator[httpx.AsyncClient]:
    public = FastAPI()
    add_pages(public, page)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(public), base_url="http://city.example") as opened:
        yield opened


async def test_the_page_is_asked_for_anew_and_what_bears_its_hash_is_kept(client: httpx.AsyncClient, built: None):
    index = await client.get("/")
    assert (index.status_code, index.headers["content-type"], index.text) == (200, "text/html; charset=utf-8", "<!doctype html>统管")
    assert index.headers["cache-control"] == "no-cache"
    for asset, kept in {"index-B7x_9aQz.js": True, "map-DkP03-xy.css": True, "plain.svg": False}.items():
        answer = await client.get("/assets/" + asset)
        assert answer.text == "of " + asset
        assert ("immutable" in answer.headers["cache-control"]) is kept
        again = await client.get("/assets/" + asset, headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, "immutable" in again.headers["cache-control"]) == (304, kept)


async def test_what_opens_the_page_without_a_network_is_asked_for_anew(client: httpx.AsyncClient, built: None, page: Path):
    for path, media in {"/sw.js": "text/javascript; charset=utf-8", "/manifest.webmanifest": "application/manifest+json"}.items():
        (page / path[1:]).write_text("of " + path)
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["content-type"], answer.text) == (200, media, "of " + path)
        assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["/assets/gone-B7x_9aQz.js", "/assets/../secret.txt", "/assets/%2e%2e/secret.txt", "/secret.txt", "/assets/"])
async def test_what_is_no_asset_is_neither_served_nor_kept(client: httpx.AsyncClient, built: None, path: str):
    answer = await client.get(path)
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


async def test_pages_that_are_not_built_are_said_to_be_so(client: httpx.AsyncClient):
    answer = await client.get("/")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/plain; charset=utf-8")
    assert "./tongguan up" in answer.text
    assert (await client.get("/assets/index-B7x_9aQz.js")).status_code == 404


@pytest.mark.parametrize("path", ["/", "/assets/plain.svg", "/nothing"])
async def test_every_answer_says_what_may_run(client: httpx.AsyncClient, built: None, path: str):
    answer = await client.get(path)
    assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert "strict-transport-security" not in answer.headers
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in str(policy)
    assert "http" not in str(policy)
    assert "max-age" in (await client.get(f"https://city.example{path}")).headers["strict-transport-security"]
