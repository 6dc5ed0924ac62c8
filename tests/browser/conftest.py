"""A real browser before the console. It asks nobody but the test server, and no page may complain."""

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer

from hotels.models import Hotel, Membership, Role

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> Iterator["Browser"]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed (requirements-dev.txt)")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine (apt install chromium)")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"  # playwright runs a loop in this thread, and Django's tests are in it too
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def hotel(transactional_db: None) -> Hotel:
    return Hotel.objects.create(name="Miramar", slug="miramar", currency="EUR", time_zone="Europe/Lisbon")


@pytest.fixture
def page(chromium: "Browser", live_server: LiveServer, hotel: Hotel) -> Iterator["Page"]:
    """A manager's browser, signed in through the form. What a page asked of others, and what it complained of, fails the test."""
    user = User.objects.create_user("maria", password="correct-horse-battery", is_staff=True)
    Membership.objects.create(user=user, hotel=hotel, role=Role.MANAGER)
    context = chromium.new_context(viewport={"width": 1360, "height": 900}, base_url=live_server.url)
    context.set_default_timeout(10_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on("console", lambda message: complaints.append(f"console: {message.text}") if message.type in ("error", "warning") else None)
    page.on("request", lambda asked: None if asked.url.startswith((live_server.url, "data:")) else complaints.append(f"asked {asked.url}"))
    page.goto("/admin/")
    page.fill("[name=username]", "maria")
    page.fill("[name=password]", "correct-horse-battery")
    page.click("button[type=submit]")
    page.wait_for_url("**/admin/")
    yield page
    context.close()
    assert complaints == []
