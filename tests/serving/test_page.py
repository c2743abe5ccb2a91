"""The page in a real browser, served by the command: a sentence, a picture and a sound get the JSON API's answers."""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import small_run
import sounds
from PIL import Image as Picture

from t2t_multimodel.features import ProblemSpec, Text
from t2t_multimodel.reports.examples import what_it_does

ROOT = Path(__file__).resolve().parent.parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The address of mm-serve with a small run, its weights those it began with, and the process."""
    folder = small_run.make(tmp_path_factory.mktemp("run"))
    flags = [f"--output_dir={folder}", "--port=0", "--beam_size=2", "--n_best=2", "--max_pixels=100000", "--max_characters=60"]
    done = subprocess.Popen([sys.executable, str(ROOT / "bin" / "mm-serve"), *flags], stderr=subprocess.PIPE, text=True, env=None)
    try:
        line = done.stderr.readline()
        found = re.fullmatch(r".*/run\d+ at step 7: (http://127\.0\.0\.1:\d+) \(Ctrl-C ends it\)\n", line)
        assert found, line
        yield found[1], done
    finally:
        done.kill()
        done.communicate()


@pytest.fixture(scope="module")
def browser():
    """A Chromium; it comes from the system, because Playwright's own is not a package."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, "the test of the page needs the browser Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser, command):
    """The page as it is opened; whatever is asked of other hosts, and each error of its scripts, fails the test."""
    url, _ = command
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    asked, errors = [], []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.goto(url)
    opened.wait_for_selector("#text textarea")
    yield opened
    opened.close()
    assert [address for address in asked if not address.startswith((url, "data:", "blob:"))] == []
    assert errors == []


def asked(url, problem, content, kind):
    """The answer of the JSON API."""
    request = urllib.request.Request(f"{url}/api/problems/{problem}", content, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def shown(page, problem):
    """The text of the answer, once it is the one for `problem`."""
    page.wait_for_selector(f"#answer .soft:has-text('{problem}')", timeout=20_000)
    return page.inner_text("#answer")


def screenshot(page):
    """The answer's pixels, uint8 [H, W, 3]."""
    with Picture.open(io.BytesIO(page.locator("#answer").screenshot())) as picture:
        return np.asarray(picture.convert("RGB"))


def png(size=(20, 16)):
    with io.BytesIO() as file:
        Picture.new("RGB", size, "red").save(file, "PNG")
        return file.getvalue()


def drop(page, place, name, kind, content):
    """Drops a file on a component, as a mouse would."""
    data = page.evaluate_handle(
        """([name, kind, bytes]) => { const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], name, {type: kind})); return data; }""",
        [name, kind, list(content)],
    )
    page.dispatch_event(f"{place} button[aria-dropeffect], {place} button", "drop", {"dataTransfer": data})


def test_a_sentence_is_typed_and_answered(page, command):
    page.get_by_label("mini_parse").or_(page.get_by_label("(parse)")).first.check()
    page.fill("#text textarea", "a dog and a cat")
    page.press("#text textarea", "Enter")
    text = shown(page, "parse")
    outputs = asked(command[0], "parse", b"a dog and a cat", "text/plain")["outputs"]
    assert len(outputs) == 2
    assert all(output["text"] in text for output in outputs)
    assert "weights of step 7" in text and re.search(r"\d\.\d\d s", text)
    drawn = page.text_content("#answer svg")
    assert all(word in drawn for word in ("dog", "and", "cat", "S"))
    assert page.locator("#answer .bars .bar").count() == 2  # experts
    pixels = screenshot(page)
    assert pixels.shape[0] > 300 and pixels.shape[1] > 400
    assert blue(pixels) > 500
    page.fill("#text textarea", "a " * 40)
    page.press("#text textarea", "Enter")
    page.wait_for_selector("#answer .error")
    assert "the text has 79 characters, more than the 60 that are taken" in page.inner_text("#answer")


def blue(pixels):
    """The number of pixels in the colour of bars."""
    return int((np.abs(pixels.astype(int) - (0x2F, 0x7F, 0xC1)).max(axis=2) < 8).sum())


def test_a_picture_is_dropped_and_answered_and_a_damaged_one_is_a_line(page, command):
    page.get_by_role("tab", name="Picture").click()
    page.get_by_label("(picture)").check()
    drop(page, "#picture", "red.png", "image/png", png())
    text = shown(page, "picture")
    outputs = asked(command[0], "picture", png(), "image/png")["outputs"]
    assert [output["text"] for output in outputs] == re.findall("cat|dog|owl", text)[1:]
    assert all(f"{output['probability']:.1%}" in text for output in outputs)
    assert page.locator("#answer .bars .bar").count() == 5  # three classes, two experts
    assert blue(screenshot(page)) > 1000
    page.get_by_label("Clear").or_(page.get_by_label("Remove")).first.click()
    drop(page, "#picture", "cut.png", "image/png", png()[:-20])
    page.wait_for_selector("#answer .error")
    assert "the picture is a damaged or truncated image" in page.inner_text("#answer")


def test_a_sound_is_dropped_and_answered(page, command):
    page.get_by_role("tab", name="Sound").click()
    drop(page, "#sound", "tone.wav", "audio/wav", sounds.write(rate=1000))
    text = shown(page, "speech")
    best = asked(command[0], "speech", sounds.write(rate=1000), "audio/wav")["outputs"][0]
    assert f"{best['score']:.3f}" in text


def test_it_is_readable_on_a_phone(browser, command):
    phone = browser.new_page(viewport={"width": 390, "height": 800})
    phone.goto(command[0])
    phone.fill("#text textarea", "a dog")
    phone.press("#text textarea", "Enter")
    phone.wait_for_selector("#answer .out")
    phone.wait_for_function("document.getElementById('answer').getBoundingClientRect().top < 400")  # it is moved into sight
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    parsed(phone, "a dog " * 9)  # the drawing is wider than the screen
    drawn, seen, _ = drawing(phone)
    assert drawn > 390 > seen
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.close()


def parsed(page, sentence):
    """Asks for the parse tree of a sentence."""
    page.get_by_label("(parse)").first.check()
    page.fill("#text textarea", sentence)
    page.press("#text textarea", "Enter")
    page.wait_for_function(
        "words => document.querySelectorAll('#answer .tree text').length > words", arg=2 * len(sentence.split())
    )


def drawing(page):
    """The widths in pixels of a tree and of the part of it that is seen, and how far its labels stand out of it."""
    return page.evaluate(
        """() => { const tree = document.querySelector('#answer .tree'), box = tree.querySelector('svg').getBoundingClientRect();
        const labels = [...tree.querySelectorAll('text')].map(label => label.getBoundingClientRect());
        const out = Math.max(...labels.map(at => Math.max(at.right - box.right, box.left - at.left)));
        return [box.width, tree.clientWidth, out]; }"""
    )


def test_a_tree_is_seen_as_a_whole_on_a_desktop(page):
    parsed(page, "a dog and a cat and a MMWWMMWW")
    drawn, seen, out = drawing(page)
    assert drawn <= seen and out <= 0


def test_no_two_problems_have_the_same_label(page):
    for tab in ("Sentence", "Picture", "Sound"):
        page.get_by_role("tab", name=tab).click()
        labels = page.locator(f"#problem-{tab.lower()} label").all_inner_texts()
        assert labels and len(set(labels)) == len(labels)


def test_a_reversed_translation_says_from_which_language():
    spaces = {"ende": "to_german", "ende_rev": "to_english", "enfr": "to_french", "enfr_rev": "to_english"}
    specs = {name: ProblemSpec(name, Text(), Text(), space) for name, space in spaces.items()}
    assert what_it_does(specs["ende_rev"], specs) == "Translates a sentence from German into English."
    assert len({what_it_does(spec, specs) for spec in specs.values()}) == 4


def test_a_signal_ends_it_in_a_line(command):
    _, done = command
    done.send_signal(signal.SIGTERM)
    assert done.wait(20) == 130
    assert done.stderr.read() == "mm-serve: interrupted\n"
