"""Debian's chromium, headless, on pages that are made here."""

from __future__ import annotations

import os
import shutil

import pytest

WINDOW = (1280, 720)


@pytest.fixture(scope="session")
def chromium():
    """A driven browser; without one the test is skipped, and fails where a browser is asked for."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        missing = "chromium and chromedriver are not installed: apt-get install chromium chromium-driver"
        if os.environ.get("BROWSER_REQUIRED"):
            pytest.fail(missing)
        pytest.skip(missing)
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def shown(chromium, tmp_path):
    """Opens a page at a width, light or dark, with or without scripts; gives the browser."""

    def show(html: str, width: int = WINDOW[0], height: int = WINDOW[1], dark: bool = False, scripts: bool = True):
        (tmp_path / "index.html").write_text(html, encoding="utf-8")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        chromium.get_log("browser")
        chromium.get((tmp_path / "index.html").as_uri())
        return chromium

    yield show
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
