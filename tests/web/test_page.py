"""The live page in a real Chromium, against real processes: what somebody sees who uses it."""

from __future__ import annotations

import base64
import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from clacks.web import FILES, content
from tests.cli.processes import Service, running

CHROMIUM = shutil.which("chromium")
page_test = [pytest.mark.slow, pytest.mark.net, pytest.mark.tool]
PHONE = {"type": "PhoneStatus", "data": {"CallerId": "1", "ReceiverId": "<b>2</b>", "Status": "busy"}}
QUERY = "declare namespace f='http://www.gonicus.de/Events'; ./f:Event/f:PhoneStatus[f:Status = 'free']"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def broker(place: Path) -> Iterator[Service]:
    free = ("--port", "0", "--tls-port", "0", "--listen", "http=127.0.0.1:0")
    with running("up", *free, "--user", "ann:secret", home=place) as service:
        yield service


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # No sandbox: tests may run as root, where Chromium has none.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    found = browser.new_page()
    said: list[str] = []
    found.on("pageerror", lambda error: said.append(str(error)))
    found.on(
        "console", lambda message: said.append(message.text) if "Security Policy" in message.text else None
    )
    yield found
    found.close()
    assert said == []


def address(service: Service) -> str:
    return service.url("http").rstrip("/")


def publish(service: Service, event: dict[str, Any]) -> None:
    login = base64.b64encode(b"ann:secret").decode()
    headers = {"content-type": "application/json", "authorization": f"Basic {login}"}
    request = urllib.request.Request(f"{address(service)}/events", json.dumps(event).encode(), headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 202


def log_in(page: Page, service: Service, password: str = "secret") -> None:
    page.goto(address(service))
    page.get_by_label("User", exact=True).fill("ann")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def live(page: Page, service: Service) -> None:
    log_in(page, service)
    expect(page.locator("#state-text")).to_have_text("live", timeout=20_000)


class TestPage:
    pytestmark = page_test

    def test_a_wrong_password_is_said_so(self, page: Page, broker: Service) -> None:
        log_in(page, broker, "wrong")
        expect(page.get_by_role("alert")).to_have_text("wrong user or password")
        expect(page.locator("#view-live")).to_be_hidden()

    def test_events_arrive_as_they_happen_and_their_text_stays_text(
        self, page: Page, broker: Service
    ) -> None:
        live(page, broker)
        publish(broker, PHONE)
        row = page.locator("#events tbody tr", has_text="PhoneStatus").first
        expect(row).to_contain_text("<b>2</b>", timeout=20_000)
        row.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#detail-xml")).to_contain_text("<CallerId>1</CallerId>")
        page.keyboard.press("Escape")
        expect(page.locator("#detail")).to_be_hidden()

    def test_a_filter_is_checked_as_one_types_and_then_decides(self, page: Page, broker: Service) -> None:
        live(page, broker)
        page.locator("#query").fill("./f:Event")
        expect(page.locator("#query-note")).to_contain_text("XPST0081", timeout=20_000)
        expect(page.locator("#query-note")).to_contain_text("^")
        page.locator("#query").fill(QUERY)
        expect(page.locator("#query-note")).to_contain_text("can match: PhoneStatus", timeout=20_000)
        page.get_by_role("button", name="Apply").click()
        page.get_by_role("button", name="Clear").click()
        expect(page.locator("#state-text")).to_have_text("live", timeout=20_000)
        publish(broker, PHONE)
        free = {"type": "PhoneStatus", "data": {**PHONE["data"], "Status": "free"}}
        publish(broker, free)
        expect(page.locator("#events tbody tr").first).to_contain_text("free", timeout=20_000)
        expect(page.locator("#events tbody tr", has_text="busy")).to_have_count(0)

    def test_types_are_chosen_from_a_list(self, page: Page, broker: Service) -> None:
        live(page, broker)
        page.get_by_text("All types").click()
        page.get_by_role("checkbox", name="PhoneStatus").check()
        page.keyboard.press("Escape")
        expect(page.locator("#types summary")).to_have_text("PhoneStatus")
        expect(page.get_by_role("checkbox", name="PhoneStatus")).to_be_hidden()
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_text("No events yet")).to_be_visible()
        expect(page.locator("#state-text")).to_have_text("live", timeout=20_000)
        publish(
            broker, {"type": "LifePreserver", "data": {"Message": "m", "Priority": 1, "Class": "snapshot"}}
        )
        publish(broker, PHONE)
        expect(page.locator("#events tbody tr").first).to_contain_text("PhoneStatus", timeout=20_000)
        expect(page.locator("#events tbody tr", has_text="LifePreserver")).to_have_count(0)

    def test_a_pause_keeps_what_comes_for_later(self, page: Page, broker: Service) -> None:
        live(page, broker)
        page.locator("body").press("p")
        expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
        publish(broker, PHONE)
        expect(page.locator("#count")).to_contain_text("waiting", timeout=20_000)
        expect(page.locator("#events tbody tr", has_text="PhoneStatus")).to_have_count(0)
        page.locator("#pause").click()
        expect(page.locator("#events tbody tr", has_text="PhoneStatus").first).to_be_visible()

    def test_an_event_is_published_by_a_form_made_from_its_schema(self, page: Page, broker: Service) -> None:
        live(page, broker)
        page.get_by_role("tab", name="Publish").click()
        page.locator("[name=kind]").select_option("PhoneStatus")
        for name, value in (("CallerId", "7"), ("ReceiverId", "8"), ("Status", "ringing")):
            page.locator(f"""[name='["{name}"]']""").fill(value)
        page.get_by_role("button", name="Publish").click()
        expect(page.locator("#publish-note")).to_contain_text("published", timeout=20_000)
        page.get_by_role("tab", name="Live").click()
        expect(page.locator("#events tbody tr", has_text="ringing")).to_be_visible(timeout=20_000)

    def test_what_the_schema_refuses_is_told(self, page: Page, broker: Service) -> None:
        live(page, broker)
        page.get_by_role("tab", name="Publish").click()
        page.locator("[name=kind]").select_option("NodeStatus")
        page.locator("""[name='["Load"]']""").fill("much")
        page.get_by_role("button", name="Publish").click()
        expect(page.locator("#publish-note")).to_contain_text("NodeStatus", timeout=20_000)
        expect(page.locator("#publish-note")).to_have_class("error")

    def test_nodes_filters_and_the_log_are_shown(self, page: Page, broker: Service) -> None:
        live(page, broker)
        publish(broker, PHONE)
        page.get_by_role("tab", name="Nodes").click()
        expect(page.get_by_role("table", name="Nodes").locator("tbody tr")).to_have_count(1, timeout=20_000)
        page.get_by_role("tab", name="Filters").click()
        expect(page.get_by_role("table", name="Counters")).to_contain_text(
            "web_subscriptions", timeout=20_000
        )
        page.get_by_role("tab", name="Event log").click()
        page.get_by_role("button", name="Show").click()
        expect(page.locator("#log tbody tr", has_text="PhoneStatus").first).to_be_visible(timeout=20_000)

    def test_tabs_work_by_keyboard(self, page: Page, broker: Service) -> None:
        live(page, broker)
        page.get_by_role("tab", name="Live").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Nodes")).to_be_focused()
        expect(page.locator("#view-nodes")).to_be_visible()

    def test_it_fits_a_phone(self, browser: Browser, broker: Service) -> None:
        with browser.new_context(viewport={"width": 360, "height": 700}, color_scheme="dark") as context:
            page = context.new_page()
            live(page, broker)
            publish(broker, PHONE)
            expect(page.locator("#events tbody tr", has_text="PhoneStatus").first).to_be_visible(
                timeout=20_000
            )
            for tab in ("Nodes", "Filters", "Event log", "Publish", "Live"):
                page.get_by_role("tab", name=tab).click()
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab

    def test_logging_out_ends_the_token(self, page: Page, broker: Service) -> None:
        live(page, broker)
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("User", exact=True)).to_be_visible()
        page.reload()
        expect(page.get_by_label("User", exact=True)).to_be_visible()

    def test_it_comes_back_when_the_gateway_does(self, page: Page, broker: Service, place: Path) -> None:
        bus = broker.url("amqp", "ann")
        variables = {"CLACKS_URL": bus, "CLACKS_PASSWORD": "secret"}
        with running(
            "gateway", "--listen", "http=127.0.0.1:0", "--no-auth", home=place, **variables
        ) as first:
            url = address(first)
            page.goto(url)
            expect(page.locator("#state-text")).to_have_text("live", timeout=20_000)
        expect(page.locator("#state-text")).to_have_text("no connection", timeout=20_000)
        again = ("gateway", "--listen", f"http={url.removeprefix('http://')}", "--no-auth")
        with running(*again, home=place, **variables):
            expect(page.locator("#state-text")).to_have_text("live", timeout=30_000)
            topic = {
                "type": "TopicMessage",
                "data": {"Id": "1-1", "Topic": "a", "Message": "back", "Timestamp": 1},
            }
            publish(broker, topic)
            expect(page.locator("#events tbody tr", has_text="back")).to_be_visible(timeout=20_000)


# -- without a browser


def test_all_files_are_there_and_nothing_is_fetched_from_elsewhere() -> None:
    for name in FILES:
        text = content(name).decode()
        if not name.startswith("vendor/"):
            assert "https://" not in text
            assert text.count("http://") == text.count("http://www.gonicus.de/Events"), name


def test_no_text_of_an_event_can_become_a_program() -> None:
    for name in FILES:
        if name.endswith(".js") and not name.startswith("vendor/"):
            text = content(name).decode()
            for word in (
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            ):
                assert word not in text, (name, word)
    assert "<script>" not in content("index.html").decode()
    assert " style=" not in content("index.html").decode()


def test_a_file_that_is_none_of_them_is_not_there() -> None:
    with pytest.raises(KeyError):
        content("../cli/main.py")
