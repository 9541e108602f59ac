"""A real browser for the page's tests. Its executable is named by TONGGUAN_CHROMIUM, which `./tongguan test` sets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from tests.browser.stage import Stage
from tests.lanes import free_plan

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Opener(Protocol):
    """Opens a page in a context of its own."""

    def __call__(self, url: str, *, tolerate: str = "", **context: object) -> AbstractAsyncContextManager[Page]: ...


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    executable = os.environ.get("TONGGUAN_CHROMIUM")
    if not executable:
        pytest.fail("TONGGUAN_CHROMIUM names no browser: run `./tongguan test`, or set it to a Chromium or Chrome")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    made.port = free_plan().gateway  # one that nobody gets while the stage is away
    async with made:
        yield made


@pytest.fixture
def open_page(browser: Browser) -> Opener:
    """Open a page; afterwards fail if it had an error (but `tolerate`), broke its content policy or asked another host for anything."""

    @asynccontextmanager
    async def opened(url: str, *, tolerate: str = "", **context: object) -> AsyncIterator[Page]:
        settings = {"viewport": {"width": 1920, "height": 1080}, "locale": "zh-CN", "timezone_id": "Asia/Shanghai", **context}
        own = await browser.new_context(**settings)  # type: ignore[arg-type]  # settings are playwright's own keywords
        page = await own.new_page()
        faults: list[str] = []
        origin = "/".join(url.split("/")[:3])
        page.on("pageerror", lambda error: faults.append(f"error: {error}"))
        page.on("console", lambda message: _note(message, tolerate, faults))
        page.on("request", lambda request: _note_foreign(request, origin, faults))
        await page.goto(url)
        yield page
        await own.close()
        assert not faults, faults

    return opened


def _note(message: ConsoleMessage, tolerate: str, faults: list[str]) -> None:
    # A lost connection is what many of these tests are about; the browser itself logs each.
    expected = "WebSocket connection to" in message.text or (tolerate and tolerate in message.text)
    if message.type == "error" and not expected:
        faults.append(f"console: {message.text}")


def _note_foreign(request: Request, origin: str, faults: list[str]) -> None:
    if not request.url.startswith((origin, "data:", "blob:")):
        faults.append(f"foreign: {request.url}")
