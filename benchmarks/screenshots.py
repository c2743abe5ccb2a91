"""Takes the pictures of the documentation: the page of mm-serve on a desktop and on a phone, and the report of a run.

It needs the extras web and dev-all, the browser Chromium, and a run of mini8 with its report, as `make demo` makes one.

python benchmarks/screenshots.py --output_dir=demo_output
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image as Picture
from playwright.sync_api import sync_playwright
from serve import served

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SENTENCE = "there is a big white star to the left of two small red circles"
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
COLOURS = 128  # of a PNG with a palette, a third as large


def main() -> None:
    """Starts the page, takes the pictures, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--output_dir", default="demo_output", help="a run of mini8 with a report.html")
    parser.add_argument("--pictures", type=Path, default=ROOT / "docs" / "pictures", help="the folder to write to")
    args = parser.parse_args()
    report = Path(args.output_dir).resolve() / "report.html"
    if not report.exists():
        parser.error(f"{report} does not exist; `make demo` writes one")
    args.pictures.mkdir(parents=True, exist_ok=True)
    with served(args.output_dir) as (port, _, _), sync_playwright() as playwright:
        address = f"http://127.0.0.1:{port}"
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        shot(sentence(browser, address, DESKTOP), args.pictures / "serve_sentence.png")
        shot(picture(browser, address), args.pictures / "serve_picture.png")
        shot(sentence(browser, address, PHONE), args.pictures / "serve_phone.png")
        page = browser.new_page(viewport={"width": 1100, "height": 1000})
        page.goto(report.as_uri())
        page.wait_for_timeout(1000)
        shot(page, args.pictures / "report.png")
        browser.close()


def chromium() -> str:
    """Returns the path of the system's Chromium."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not path:
        sys.exit("there is no Chromium: apt-get install chromium")
    return path


def sentence(browser: Any, address: str, size: dict[str, int]) -> Any:
    """Returns the page after a sentence has been parsed."""
    page = browser.new_page(viewport=size)
    page.goto(address)
    page.wait_for_selector("#text textarea")
    page.locator("input[type=radio][value=mini_parse]").check()
    page.fill("#text textarea", SENTENCE)
    page.press("#text textarea", "Enter")
    page.wait_for_selector("#answer .tree", timeout=120_000)
    page.wait_for_timeout(1500)
    return page


def picture(browser: Any, address: str) -> Any:
    """Returns the page after the class of the first example has been asked for."""
    page = browser.new_page(viewport=DESKTOP)
    page.goto(address)
    page.get_by_role("tab", name="Picture").click()
    page.locator(".gallery-item:visible, .gallery button:visible").first.click()
    page.wait_for_selector("#answer .bars", timeout=120_000)
    page.wait_for_timeout(1500)
    return page


def shot(page: Any, path: Path) -> None:
    """Writes what is seen of a page as a PNG with a palette."""
    page.screenshot(path=path)
    with Picture.open(path) as whole:
        whole.convert("RGB").quantize(COLOURS, dither=Picture.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
