"""The page in a real browser: Debian's chromium without a screen.

    apt-get install chromium

Interaction is tried from a page around it that holds it in a frame as wide as a phone.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.report.studies import HOSTILE, photos, rows, run, small
from tests.waiting import PATIENCE_S
from vitctl.artifacts import Store
from vitctl.report.page import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,  # a browser starts in each test: seconds
    pytest.mark.skipif(
        CHROMIUM is None, reason="chromium is not installed: apt-get install chromium"
    ),
]
PHONE = 390


class Browser:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, file: Path, *flags: str) -> tuple[str, str]:
        """What it wrote on both streams."""
        assert CHROMIUM is not None
        command = [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--virtual-time-budget=4000",
            "--allow-file-access-from-files",
            f"--user-data-dir={self.folder / 'profile'}",
            *flags,
            file.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=True)
        return done.stdout.decode(), done.stderr.decode()

    def picture(self, file: Path, *flags: str) -> Image.Image:
        shot = self.folder / "shot.png"
        shot.unlink(missing_ok=True)
        self.run(file, f"--screenshot={shot}", "--window-size=1280,1600", *flags)
        with Image.open(shot) as image:
            return image.convert("RGB")

    def answers(self, file: Path, script: str, *, width: int = PHONE) -> dict:
        """What `script` returns; `page` and `all(selector)` in it are of the framed page."""
        around = self.folder / "around.html"
        around.write_text(
            f"""<!doctype html><body style="margin:0"><pre id="answer"></pre>
            <iframe src="{file.as_uri()}" style="width:{width}px;height:4000px;border:0"></iframe>
            <script>
            document.querySelector("iframe").onload = (event) => {{
              const page = event.target.contentDocument;
              const all = (selector) => [...page.querySelectorAll(selector)];
              const answer = (() => {{ {script} }})();
              document.querySelector("#answer").textContent = JSON.stringify(answer);
            }};
            </script>"""
        )
        dom, log = self.run(around, "--dump-dom", "--window-size=900,4000")
        match = re.search(r'<pre id="answer">(.*?)</pre>', dom, re.DOTALL)
        assert match, log
        return json.loads(html.unescape(match[1]))


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    return Browser(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A page of a study with hostile names, and a longer run."""
    folder = tmp_path_factory.mktemp("page")
    store = Store(folder / "store")
    study = small(store, classes=(HOSTILE, "dog"))
    long = run(
        store, "pretrain", parents=(), steps=(5000,), name="long-name-" * 8, logged=rows(1, 5000)
    )
    wide = photos(store, classes=[f"class {i}" for i in range(30)], images=60, name="wide")
    named = [*study.named, (long, None), (wide, None)]
    path = folder / "report.html"
    path.write_bytes(page(named, store=store, title="A study").content)
    return path


def test_scripts_run_under_the_policy_without_a_complaint(browser, file):
    dom, log = browser.run(file, "--dump-dom")
    assert dom.count('class="tools"') == dom.count('data-chart=""') > 8
    complaints = [line for line in log.splitlines() if "CONSOLE" in line]
    assert complaints == []


def test_that_a_complaint_would_be_seen(browser, tmp_path, file):
    changed = tmp_path / "changed.html"
    content = file.read_text()
    changed.write_text(content.replace("</main>", "<script>alert(1)</script><img src=x></main>"))
    _, log = browser.run(changed, "--dump-dom")
    assert "Content Security Policy" in log


def test_without_scripts_curves_and_tables_are_there(browser, file):
    def framed(sandbox: str) -> Image.Image:
        around = browser.folder / "framed.html"
        frame = f'<iframe {sandbox} src="{file.as_uri()}" width="1260" height="4000"></iframe>'
        around.write_text(f'<!doctype html><body style="margin:0">{frame}')
        return browser.picture(around, "--window-size=1280,4000")

    with_scripts, without = framed(""), framed("sandbox")
    differing = ImageChops.difference(with_scripts, without).convert("L").point(lambda v: v > 24)
    share = sum(differing.tobytes()) / (with_scripts.width * with_scripts.height)
    assert 0 < share < 0.01  # the buttons, and nothing else


def test_a_phone_scrolls_tables_not_the_page(browser, file):
    answer = browser.answers(
        file,
        """return {
          page: page.documentElement.scrollWidth,
          charts: all(".plot").map((node) => node.getBoundingClientRect().right),
          letters: all(".plot text").map((node) => getComputedStyle(node).fontSize),
          tables: all(".wide").length,
        };""",
    )
    assert answer["page"] <= PHONE
    assert answer["tables"] > 3
    assert all(right <= PHONE for right in answer["charts"])
    assert {*answer["letters"]} == {"12px"}  # as large as on any screen


def test_hovering_tells_values_and_zooming_changes_the_axis(browser, file):
    answer = browser.answers(
        file,
        """
        const chart = all("figure.chart")[0], area = chart.querySelector(".area");
        const box = area.getBoundingClientRect();
        const at = (share, type) => area.dispatchEvent(new PointerEvent(type,
          {clientX: box.left + share * box.width, clientY: box.top + 50, pointerType: "mouse",
           pointerId: 1, bubbles: true}));
        const across = () => [...chart.querySelectorAll(".xs text")];
        const labels = () => across().map((node) => node.textContent);
        const [first] = [labels()];
        at(0.5, "pointermove");
        const tip = chart.querySelector(".tip"), shown = [tip.hidden, tip.textContent];
        const [zoomIn, zoomOut, reset] = chart.querySelectorAll("button");
        const before = reset.disabled;
        zoomIn.click();
        const second = labels(), during = reset.disabled;
        const outside = [...chart.querySelectorAll(".curves polyline")].length;
        area.dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight", bubbles: true}));
        const keyboard = chart.querySelector("[aria-live]").textContent;
        area.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape", bubbles: true}));
        return {first, second, third: labels(), shown, before, during, outside, keyboard};
        """,
    )
    assert answer["shown"][0] is False
    assert "images seen" in answer["shown"][1]
    assert answer["first"] == answer["third"] != answer["second"]
    assert (answer["before"], answer["during"]) == (True, False)
    assert answer["outside"] >= 3
    assert "images seen" in answer["keyboard"]


def test_zooming_by_script_draws_what_was_drawn_before(browser, file):
    """The script's drawing of the whole is the page's own: same points, same labels."""
    answer = browser.answers(
        file,
        """
        return all("figure.chart").map((chart) => {
          const state = () => [
            [...chart.querySelectorAll(".curves polyline")].map((n) => n.getAttribute("points")),
            [...chart.querySelectorAll(".plot text")].map((n) => n.textContent)];
          const [points, labels] = state();
          chart.querySelectorAll("button")[0].click();
          chart.querySelectorAll("button")[2].click();
          const [pointsAgain, labelsAgain] = state();
          const numbers = (lines) => lines.join(" ").split(/[ ,]/).map(Number);
          const [a, b] = [numbers(points), numbers(pointsAgain)];
          return {
            title: chart.querySelector("figcaption").textContent,
            off: Math.max(0, ...a.map((v, i) => Math.abs(v - b[i]))), same: a.length === b.length,
            labels, labelsAgain};
        });
        """,
        width=1000,
    )
    assert answer
    for chart in answer:
        assert chart["same"], chart["title"]
        assert chart["off"] <= 0.2, chart["title"]  # both round to a tenth of a thousandth
        assert chart["labels"] == chart["labelsAgain"], chart["title"]


def test_light_and_dark(browser, file):
    light = browser.picture(file)
    dark = browser.picture(file, "--blink-settings=preferredColorScheme=0")
    assert light.getpixel((2, 2)) == (255, 255, 255)
    assert max(dark.getpixel((2, 2))) < 40


def test_it_prints(browser, file, tmp_path):
    printed = tmp_path / "page.pdf"
    browser.run(file, f"--print-to-pdf={printed}", "--blink-settings=preferredColorScheme=0")
    content = printed.read_bytes()
    assert content.startswith(b"%PDF")
    assert len(content) > 20_000
