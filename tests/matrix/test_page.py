import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from adaedge.energy import NR_DRX, NR_LOW_BAND, ComputePower
from adaedge.errors import SourceError
from adaedge.matrix import Bench, Cell, Terminal, link_named, scenario_named
from adaedge.matrix.page import Along, headline, write_page
from adaedge.matrix.techniques import ALL

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
BOARD = Terminal("board", ComputePower(8.0, macs_per_s=2e9), slower_in_fp32=2.0, cpu_macs_per_s=1e12)


class Outline(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.labels, self.pictures = [], [], [], 0

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br"):
            self.open.append(tag)
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        if tag == "svg":
            self.pictures += 1
            self.labels.append(given.get("aria-label", ""))

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def rows(network, played):
    bench = Bench(network, played, BOARD, scenario_named("robot-video"))
    radios = {"nr-drx": NR_DRX, "nr-low-band": NR_LOW_BAND}
    cells = [Cell(bench, name, radio, "20mbps", link_named("20mbps"), 20) for name, radio in radios.items()]
    return cells[0], [row for cell in cells for row in cell.rows()]


@pytest.fixture(scope="module")
def page(rows, tmp_path_factory):
    cell, found = rows
    path = tmp_path_factory.mktemp("page") / "matrix.html"
    write_page(path, found, title="a <b> title", along=Along(ALL, cell.run(ALL), cell.trace))
    return path


def test_the_page_is_whole_says_all_and_needs_nothing(page):
    text = page.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert outline.pictures == 8, "four figures, each wide and narrow"
    assert all(len(label) > 20 for label in outline.labels), "alternative text"
    assert not re.search(r"<(script|link|img|iframe)\b|https?://(?!www\.w3\.org)", text)
    assert "a &lt;b&gt; title" in text
    for heading in (
        "Energy against accuracy: tiny · made · robot-video · board · nr-drx · 20mbps",
        "Energy by part",
        "What was chosen along the trace",
        "Forecast against replay",
        "Where the ranking flips between radios",
        "Where partial offload is the best mode",
        "Rows",
        "How each figure is known",
    ):
        assert f"<h2>{heading}</h2>" in text
    for words in ("all together", "full, H.264", "measured payloads", "modelled", "assumed", "TR 22.874"):
        assert words in text


def test_what_is_not_judged_is_shown_without_accuracy(rows, tmp_path):
    _, found = rows
    plain = [replace(row, accuracy=None, keeps_floor=None, chosen_to_keep_floor=None) for row in found]
    write_page(tmp_path / "plain.html", plain)
    text = (tmp_path / "plain.html").read_text(encoding="utf-8")
    assert "Not judged, so their cost only counts: tiny." in text
    assert "not judged" in text


def test_what_costs_is_said_in_the_headline(rows):
    _, found = rows
    dear = [replace(row, energy_j=9.0) if row.mode_or_technique == ALL else row for row in found]
    assert re.match(r"All techniques together take \d+ % more joules", headline(dear))
    assert "nothing to compare with" in headline([row for row in found if row.mode_or_technique == ALL])


def test_no_rows_and_no_such_cell_are_refused(rows, tmp_path):
    with pytest.raises(SourceError, match="one row or more; got none"):
        write_page(tmp_path / "none.html", [])
    with pytest.raises(SourceError, match="no cell a, b to look into; the first is tiny, made"):
        write_page(tmp_path / "none.html", rows[1], focus=("a", "b"))


# Widths as the page itself sees them: what is wider than the screen, and not inside of something that scrolls.
_PROBE = """<script>
function report() {
  const width = document.documentElement.clientWidth, found = [];
  for (const one of document.querySelectorAll("svg, h1, h2, p, ul, figcaption")) {
    const box = one.getBoundingClientRect();
    if (box.width > 0 && !one.closest(".scroll") && box.right > width + 1) found.push(one.tagName);
  }
  const svgs = [...document.querySelectorAll("svg")].filter(one => one.getBoundingClientRect().width > 0);
  const cut = svgs.filter(one => one.getBoundingClientRect().right > width + 1).length;
  const texts = svgs.flatMap(one => [...one.querySelectorAll("text")].map(text => text.getBoundingClientRect().height));
  document.title = [width, document.documentElement.scrollWidth, svgs.length, cut, Math.min(...texts).toFixed(1),
    getComputedStyle(document.body).backgroundColor, found.join()].join("|");
}
report();
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_a_browser_shows_it_uncut_narrow_and_wide_light_and_dark(page, tmp_path):
    text = page.read_text(encoding="utf-8").replace("</body>", _PROBE + "</body>")
    (tmp_path / "light.html").write_text(text, encoding="utf-8")
    (tmp_path / "dark.html").write_text(text.replace("prefers-color-scheme: dark", "min-width: 0"), encoding="utf-8")
    # A window is never narrower than 500 pixels; a frame is.
    asked = [(width, kind) for width in (400, 1280) for kind in ("light", "dark")]
    frames = "".join(
        f'<iframe src="{kind}.html" style="width:{width}px;height:900px"></iframe>' for width, kind in asked
    )
    tell = "[...document.querySelectorAll('iframe')].map(one => one.contentDocument.title).join(';')"
    outer = f'<body onload="document.body.textContent = {tell}">{frames}</body>'
    (tmp_path / "outer.html").write_text(outer, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    options += [f"--user-data-dir={tmp_path}", "--window-size=1400,1000", "--dump-dom"]
    command = [CHROMIUM, *options, f"file://{tmp_path}/outer.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"<body[^>]*>(.*?)</body>", done.stdout)[1].split(";")
    assert len(found) == len(asked)
    for (width, kind), told in zip(asked, found, strict=True):
        seen, scrolls, pictures, cut, smallest, paper, outside = told.split("|")
        assert width - 24 <= int(seen) <= width, "but for the frame's scroll bar"
        assert scrolls == seen, "the page itself does not scroll sideways"
        assert (int(pictures), int(cut), outside) == (4, 0, ""), "each figure once, none of it beyond the edge"
        assert float(smallest) >= 9, "readable"
        assert paper == {"dark": "rgb(21, 25, 30)", "light": "rgb(255, 255, 255)"}[kind]
