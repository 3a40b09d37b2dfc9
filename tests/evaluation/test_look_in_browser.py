"""The page of `referent look` in a real browser, opened as a file."""

from __future__ import annotations

from collections.abc import Iterator

import browser
import hostile_result
import numpy as np
import pytest
from browser import Browser
from PIL import Image

from referent.evaluation.look.writing import write_page
from referent.evaluation.reading import read_result

pytestmark = pytest.mark.skipif(browser.found() is None, reason="needs a Chromium, as Debian's package chromium brings")

SHOWN = "[...document.querySelectorAll('article')].filter(card => !card.hidden)"
BROKEN_IMAGES = (
    "Promise.all([...document.images].map(image => { image.loading = 'eager'; "
    "return image.decode().then(() => [], () => [image.src]); })).then(all => all.flat())"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    # A folder of a name that an address must escape.
    folder = tmp_path_factory.mktemp("a b#c%20é")
    result = read_result(hostile_result.answer(folder, hostile_result.ask(folder)))
    assert result.source is not None
    made = write_page(result, "result", result.source.open("val"), folder / "page", cases=12)
    return made.as_uri()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def opened(chromium: Browser, page: str) -> Browser:
    chromium.said.clear()
    chromium.open("about:blank")
    chromium.open(page)
    return chromium


def choose(opened: Browser, field: str, value: str) -> None:
    opened.run(
        f"(() => {{ const field = document.querySelector('#{field}'); field.value = '{value}';"
        "field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def phrases(opened: Browser) -> list[str]:
    found: list[str] = opened.run(f"{SHOWN}.map(card => card.querySelector('h3').textContent)")
    return found


def test_it_loads_without_a_complaint_from_the_file_alone(opened):
    assert opened.run(BROKEN_IMAGES) == []
    assert opened.said == []
    assert opened.run("document.querySelectorAll('.frame img').length") > 20


def test_hostile_phrases_and_names_are_shown_and_not_run(opened):
    assert f"{hostile_result.EVIL} dog" in phrases(opened)
    assert hostile_result.EVIL in opened.run("document.querySelector('h1').textContent")
    assert opened.run("[...document.querySelectorAll('.file')].map(line => line.textContent)").count(
        hostile_result.EVIL_PICTURE
    )
    assert opened.run("document.querySelectorAll('script').length") == 1
    # Even a script that got in would not run.
    opened.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'evil = 1'}))")
    assert opened.run("typeof evil === 'undefined'")
    assert not [line for line in opened.said if line.startswith("dialog")]


def test_filters_leave_what_they_say(opened):
    every = len(phrases(opened))
    choose(opened, "truth", "absent")
    assert set(phrases(opened)) == {"cow 30"}
    choose(opened, "truth", "")
    choose(opened, "found", "not-found")
    assert set(phrases(opened)) <= {"left cat 20", f"{hostile_result.EVIL} dog"}
    choose(opened, "found", "")
    choose(opened, "kind", "position")
    assert set(phrases(opened)) == {"left cat 20"}
    choose(opened, "kind", "")
    choose(opened, "low", "100")
    assert set(phrases(opened)) == {"cat 40"}
    assert opened.run("document.querySelector('#range').textContent") == "100 to 100 %"
    choose(opened, "low", "0")
    choose(opened, "text", "LEFT 20")
    assert set(phrases(opened)) == {"left cat 20"}
    choose(opened, "text", "nothing like this")
    assert phrases(opened) == []
    assert opened.run("document.querySelector('.empty').offsetParent !== null")
    opened.run("document.querySelector('#again').click()")
    opened.until(f"{SHOWN}.length === {every}")
    assert opened.run("document.querySelector('#status').textContent") == f"{every} of {every} cases"


def test_sets_and_failed_pictures_can_be_chosen(opened):
    for name in ("worst", "best", "random", "failed"):
        opened.run(f"document.querySelector('input[name=set][value={name}]').click()")
        sets = opened.run(f"{SHOWN}.map(card => card.dataset.sets)")
        assert sets
        assert all(name in one for one in sets)
    assert "cannot be read" in opened.run("document.querySelector('article:not([hidden])').textContent")


def test_cases_can_be_put_in_order(opened):
    choose(opened, "order", "iou-down")
    ious = opened.run(f"{SHOWN}.filter(card => card.dataset.iou).map(card => Number(card.dataset.iou))")
    assert ious == sorted(ious, reverse=True)
    assert opened.run(f"{SHOWN}.at(-1).dataset.sets") == "failed"


def test_the_address_brings_the_choice_back(opened, page):
    choose(opened, "kind", "position")
    opened.run("document.querySelector('input[name=view][value=truth]').click()")
    address = opened.run("location.href")
    assert address.startswith(f"{page}#")
    opened.open("about:blank")
    opened.open(address)
    assert set(phrases(opened)) == {"left cat 20"}
    assert opened.run("document.body.dataset.view") == "truth"


def test_the_keyboard_does_it_all(opened):
    opened.press("/", "/")
    assert opened.run("document.activeElement.id") == "text"
    opened.press("Escape", code=27)
    opened.run("document.activeElement.blur()")
    opened.press("ArrowRight", code=39)
    opened.press("ArrowRight", code=39)
    first = opened.run("document.activeElement.textContent")
    assert first == phrases(opened)[1]
    opened.press("3", "3")
    assert opened.run("getComputedStyle(document.querySelector('.layer.truth')).display") == "block"
    assert opened.run("getComputedStyle(document.querySelector('.layer.compared')).display") == "none"
    opened.press("Enter", "\r", code=13)
    assert opened.run("document.querySelector('dialog').open")
    assert opened.run("document.querySelector('#large-title').textContent") == first
    assert "Id" in opened.run("document.querySelector('.facts').textContent")
    opened.press("ArrowLeft", code=37)
    assert opened.run("document.querySelector('.place').textContent").startswith("1 of")
    opened.press("Escape", code=27)
    opened.until("!document.querySelector('dialog').open")
    assert opened.run("document.activeElement.textContent") == phrases(opened)[0]


def test_everything_that_can_be_used_has_a_name(opened):
    nameless = opened.run(
        "[...document.querySelectorAll('input, select, button')].filter(one => !(one.labels?.length || "
        "one.ariaLabel || one.textContent.trim())).map(one => one.outerHTML)"
    )
    assert nameless == []
    assert opened.run("document.documentElement.lang") == "en"
    assert opened.run("[...document.images].every(image => image.alt)")


def test_it_is_light_or_dark_as_the_reader_likes(opened, tmp_path):
    papers = {}
    for scheme in ("light", "dark"):
        opened.prefer(scheme)
        opened.screenshot(tmp_path / f"{scheme}.png")
        with Image.open(tmp_path / f"{scheme}.png") as image:
            pixels = np.asarray(image.convert("L"))
        papers[scheme] = pixels[2, 2]
        assert pixels.std() > 20, "something is drawn on it"
    assert papers["light"] > 200
    assert papers["dark"] < 60


def test_it_fits_a_telephone(opened):
    opened.resize(390, 800)
    assert opened.run("document.documentElement.scrollWidth") <= 390
