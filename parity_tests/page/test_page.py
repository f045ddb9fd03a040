"""The certificate's page in a real browser: what is seen first, what opens, what is found, for everybody."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from parity.report.page import render
from parity_tests.page import made

WIDTHS = (390, 768, 1280)
OPENED = "document.querySelectorAll('details').forEach(d => d.open = true)"
FEWER = """for (const list of document.querySelectorAll("tbody, section ul"))
    [...list.children].slice(3).forEach(item => item.remove())"""
MOST_BYTES, MOST_SCREENS = 2_000_000, 12


@pytest.fixture(scope="module")
def page():
    return render(made.certificate(), made.PICTURES)


@pytest.fixture(scope="module")
def large():
    return render(made.large(), made.PICTURES)


def element(browser, selector):
    return browser.find_element("css selector", selector)


def bottom(browser, selector):
    return browser.execute_script(f"return document.querySelector('{selector}').getBoundingClientRect().bottom")


def when_drawn(browser, act):
    """Act once the browser has drawn what was opened, which takes a moment on a busy machine."""
    from selenium.common import ElementNotInteractableException
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(browser, 60, ignored_exceptions=[ElementNotInteractableException]).until(lambda _: act() or True)


def typed(browser, text):
    field = element(browser, "#claims-search")
    when_drawn(browser, field.clear)
    field.send_keys(text)
    return browser.execute_script(
        "return [...document.querySelectorAll('#claims-table tbody tr')].map(r => r.innerText)"
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_overflows_though_everything_is_open(page, shown, width):
    browser = shown(page, width)
    browser.execute_script(OPENED)
    found = browser.execute_script("const page = document.documentElement; return [page.scrollWidth, page.clientWidth]")
    assert found[0] <= found[1] <= width


def test_console_has_no_error(page, shown):
    assert shown(page).get_log("browser") == []


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 720)])
def test_verdict_and_ladder_are_on_the_first_screen(page, shown, width, height):
    browser = shown(page, width, height)
    assert bottom(browser, ".mark") < bottom(browser, "#ladder ol") <= height
    assert "certified" in element(browser, ".mark").text


def test_five_questions_are_on_the_first_screen_of_a_desk(page, shown):
    browser = shown(page)
    questions = [item.text for item in browser.find_elements("css selector", ".answers dt")]
    assert questions == [
        "Is it LEAF?", "How closely?", "On what?", "How was it shown?", "What is not covered?"
    ]  # fmt: skip
    assert bottom(browser, ".answers") <= 720
    assert bottom(browser, "#contents") <= 720


def test_ladder_has_every_step_in_millionths(page, shown):
    text = element(shown(page), "#ladder").text
    assert [text.index(f"{rung}\n") < text.index("the original") for rung in made.STEPS] == [True] * 4
    for error in ("0.13", "0.21", "0.53", "0.28"):
        assert error in text
    assert "millionths of the reference" in text


def test_search_finds_a_claim_and_its_command(page, shown):
    browser = shown(page)
    browser.execute_script(OPENED)
    (row,) = typed(browser, "PCEN/delta speech efficientleaf") or [""]
    assert "PCEN/delta" in row
    when_drawn(browser, element(browser, "#claims-table tbody button").click)
    told = element(browser, "#claims-table .told").text
    assert "leaf-ladder replay leaf 'seed=3'" in told
    assert "Relation: rounding" in told
    assert typed(browser, "no such claim") == []
    assert element(browser, "#claims-status").text.startswith("0 of ")


def test_claims_are_sorted_by_their_share_of_the_limit_both_ways(page, shown):
    browser = shown(page)
    browser.execute_script(OPENED)
    typed(browser, "speech output")
    header = element(browser, "#claims-table th:nth-child(8) button")

    def column():
        cells = browser.find_elements("css selector", "#claims-table tbody td:nth-child(8)")
        return [float(cell.text.replace("<1", "0.5")) for cell in cells]

    when_drawn(browser, header.click)
    falling = column()
    assert falling == sorted(falling, reverse=True)
    assert len(set(falling)) > 2
    when_drawn(browser, header.click)
    assert column() == sorted(falling)
    assert element(browser, "#claims-table th:nth-child(8)").get_attribute("aria-sort") == "ascending"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_serious(page, shown, width, dark):
    spec = importlib.util.find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-core-python is not installed")
    browser = shown(page, width, dark=dark)
    browser.execute_script(OPENED)
    browser.execute_script(FEWER)  # every kind of element, but not each of thousands of cells
    browser.execute_script((Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = browser.execute_async_script("axe.run().then(arguments[arguments.length - 1])")["violations"]
    bad = [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]
    assert bad == []
    assert [v["id"] for v in found if v["id"] == "heading-order"] == []


def test_without_scripts_all_but_the_claims_is_there(page, shown):
    browser = shown(page, scripts=False)
    summaries = browser.find_elements("css selector", "#instrument summary")
    when_drawn(browser, summaries[1].click)
    assert "the smoother starts from zero" in element(browser, "#instrument").text
    assert "certificate.json" in page[page.index("<noscript>") : page.index("</noscript>")]


def test_failed_claim_comes_first_and_in_words(shown):
    browser = shown(render(made.failing()))
    assert element(browser, ".mark").text == "failed"
    said = element(browser, ".failures p")
    assert "leaf is too far from its reference" in said.text
    assert "Measured 2e-06; at most 1e-06 is allowed" in said.text
    assert bottom(browser, ".failures p") < bottom(browser, "#ladder")
    assert "failed" in element(browser, "#claims-table tbody tr").text
    assert "ema" in element(browser, "#claims-table tbody tr").text


def test_whole_ladder_is_small_and_short(large, shown):
    browser = shown(large)
    assert len(large.encode()) <= MOST_BYTES
    assert browser.execute_script("return document.documentElement.scrollHeight") <= MOST_SCREENS * 720
    browser.execute_script(OPENED)
    (row,) = typed(browser, "n_samples=3571,")
    assert "stage 19" in row


def test_recorded_run_of_other_files_is_amber_and_dated(page, shown):
    browser = shown(page)
    summary = element(browser, "#recorded summary")
    assert "recorded for another version of these files" in summary.text
    assert "2026-11-25, abc123456" in summary.text
    colour = element(browser, "#recorded .badge").value_of_css_property("color")
    assert colour != element(browser, ".mark").value_of_css_property("color")


def test_names_have_no_ratio_under_a_header_of_errors(page):
    names = page[page.index('<section id="names">') : page.index('<section id="instrument">')]
    assert names.count("% of its limit") == 8
    assert "relative" not in names


def test_pictures_have_captions_and_say_what_they_show(page, shown):
    figures = shown(page).find_elements("css selector", "#pictures figure")
    assert len(figures) == len(made.PICTURES)
    for figure, picture in zip(figures, made.PICTURES, strict=True):
        assert picture.caption in figure.text
        assert figure.find_element("css selector", "img").get_attribute("alt") == picture.alt
