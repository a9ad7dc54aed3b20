"""The real client of Eventhub in a real browser: npm's bundle for pages, unmodified, in Chromium."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import async_playwright

from clacks.gateway.guard import Guard
from tests.gateway.served import gateway

pytestmark = [pytest.mark.net, pytest.mark.slow, pytest.mark.tool]

BUNDLE = Path(__file__).parent.parent.parent / ".tools/node_modules/eventhub-jsclient/dist/eventhub.umd.js"
PAGE = "<!doctype html><title>app</title><script src='eventhub.js'></script>"

USE = """
async ([url, token]) => {
  const until = async (condition) => {
    for (let n = 0; n < 2000; n++) {
      if (condition()) return;
      await new Promise((done) => setTimeout(done, 10));
    }
    throw new Error("too slow");
  };
  const saw = {};
  const client = new Eventhub.Eventhub(url, token);
  await client.connect();
  const heard = [];
  const wide = [];
  await client.subscribe("page/topic", (message) => heard.push(message));
  await client.subscribe("page/#", (message) => wide.push(message));
  const ids = [];
  for (const text of ["one", "two <b>", "\\u00fc\\u{1F600}"])
    ids.push((await client.publish("page/topic", text)).id);
  await until(() => heard.length === 3 && wide.length === 3);
  saw.heard = heard.map((message) => message.message);
  saw.sameIds = heard.every((message, n) => message.id === ids[n]);
  const log = await client.getEventlog("page/topic", { sinceEventId: ids[0] });
  saw.log = log.items.map((item) => item.message);
  client.disconnect();
  return saw;
}
"""

REFUSED = """
([url, token]) => new Promise((done) => {
  const socket = new WebSocket(url + "?auth=" + token);
  socket.onopen = () => done("open");
  socket.onerror = () => done("refused");
})
"""


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[str]:
    """A site of its own: a page, and the bundle as npm has it; yields its origin."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def bundle(request: web.Request) -> web.FileResponse:
        return web.FileResponse(BUNDLE)

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/eventhub.js", bundle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_the_browsers_bundle_of_the_javascript_client_works_unmodified_on_a_page_of_an_allowed_origin() -> (
    None
):
    async def check() -> None:
        chromium = shutil.which("chromium")
        async with asyncio.timeout(90), site() as origin, async_playwright() as playwright:
            # No sandbox: tests may run as root, where Chromium has none.
            browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = await browser.new_page()
            await page.goto(f"{origin}/")
            async with gateway(recording=True, options={"guard": Guard.of((), (origin,))}) as served:
                token = served.token("ann", ["#"], ["#"])
                saw = await page.evaluate(USE, [served.url("/eventhub", "ws"), token])
            assert saw == {
                "heard": ["one", "two <b>", "\u00fc\U0001f600"],
                "sameIds": True,
                "log": ["two <b>", "\u00fc\U0001f600"],
            }
            # The same page and the same token where its origin is not named.
            async with gateway() as served:
                token = served.token("ann", ["#"], ["#"])
                assert await page.evaluate(REFUSED, [served.url("/eventhub", "ws"), token]) == "refused"
                assert served.gateway.metrics.value("web_refused", reason="status 403") == 1
            await browser.close()

    asyncio.run(check())
