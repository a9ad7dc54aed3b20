"""Make the pictures of the live page for the documentation: a real bus, a real browser.

python scripts/screenshots.py docs/_static
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.cli.processes import running

QUERY = "declare namespace f='http://www.gonicus.de/Events';\n./f:Event/f:PhoneStatus[f:Status = 'busy'"


def publish(url: str, kind: str, fields: dict[str, Any]) -> None:
    """Publish one event over plain HTTP."""
    login = base64.b64encode(b"ann:secret").decode()
    headers = {"content-type": "application/json", "authorization": f"Basic {login}"}
    body = json.dumps({"type": kind, "data": fields}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{url}events", body, headers), timeout=20).read()


def events(url: str, page: Page) -> None:
    """Let a few seconds of a telephone exchange and a storage host happen."""
    states = itertools.cycle(["ringing", "busy", "busy", "free"])
    for number in range(40):
        fields = {
            "CallerId": str(4900 + number % 7),
            "ReceiverId": str(4950 - number % 5),
            "Status": next(states),
        }
        publish(url, "PhoneStatus", fields)
        if number % 4 == 0:
            snapshot = {"Message": f"tank@auto-{number:02}", "Priority": 0, "Class": "snapshot"}
            publish(url, "LifePreserver", snapshot)
        page.wait_for_timeout(100)


def main(folder: Path) -> None:
    """Write the pictures."""
    free = ("up", "--port", "0", "--tls-port", "0", "--listen", "http=127.0.0.1:0", "--user", "ann:secret")
    with (
        tempfile.TemporaryDirectory() as home,
        running(*free, "--node", "desk", home=Path(home)) as service,
        sync_playwright() as playwright,
    ):
        url = service.url("http")
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1100, "height": 720})
        page.goto(url)
        page.get_by_label("User", exact=True).fill("ann")
        page.get_by_label("Password").fill("secret")
        page.get_by_role("button", name="Log in").click()
        page.wait_for_selector("#dot.on")
        events(url, page)
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "page-live.png")
        page.locator("#query").fill(QUERY)
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "page-error.png", clip={"x": 0, "y": 0, "width": 1100, "height": 330})
        page.locator("#events tbody tr").nth(1).click()
        page.wait_for_timeout(300)
        page.screenshot(path=folder / "page-detail.png")
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Publish").click()
        page.locator("[name=kind]").select_option("LifePreserver")
        page.wait_for_timeout(800)
        page.screenshot(path=folder / "page-publish.png", clip={"x": 0, "y": 0, "width": 1100, "height": 420})
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 390, "height": 760})
        page.get_by_role("tab", name="Live").click()
        page.locator("#query").fill("")
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "page-phone.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/_static"))
