"""Check pages with axe-core in headless Chromium, light and wide, dark and narrow: contrast, names, keyboard.

``make accessibility`` fetches axe-core from npm, builds the site and runs this over all of it, and over two reports
that are written here: of a simulated run, and of the matrix that is recorded in ``benchmarks/results``.
"""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

from adaedge import Cost, OperatingPoint, Profile, Scheduler
from adaedge.channel import Trace
from adaedge.energy import RASPBERRY_PI_4, WIFI_2012, EnergyModel
from adaedge.matrix import Row
from adaedge.matrix.page import write_page
from adaedge.report import write_html
from adaedge.simulation import simulate

RESULTS = Path(__file__).parents[1] / "benchmarks/results"
LOOKS = {"wide and light": ["--window-size=1280,900"]}
LOOKS["narrow and dark"] = ["--window-size=400,900", "--blink-settings=preferredColorScheme=0"]
# axe-core looks at what is laid out: half a second after the page's own scripts, of the browser's virtual time.
PROBE = """<script>%s</script><script>
addEventListener("load", () => setTimeout(() => axe.run(document, {resultTypes: ["violations"]}).then(found => {
  const words = node => (node.any[0] || node.all[0] || node.none[0] || {}).message;
  const told = document.createElement("pre");
  told.id = "axe-found";
  told.textContent = JSON.stringify(found.violations.flatMap(
    rule => rule.nodes.map(node => [rule.id, node.target.join(" "), words(node)])));
  document.body.append(told);
}), 500));
</script>"""


def violations(page: Path, look: str, axe: str, chromium: str) -> list[list[str]]:
    """Of one page: rule, element, and what is wrong.

    Raises:
        RuntimeError: if the browser gave no answer.
    """
    copy = page.with_name(f".axe-{look[0]}-{page.name}")  # beside the page, so that what it links to is found
    text = page.read_text(encoding="utf-8")
    copy.write_text(text.replace("</body>", PROBE % axe + "</body>"), encoding="utf-8")
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    try:
        command = [chromium, *options, *LOOKS[look], copy.resolve().as_uri()]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    finally:
        copy.unlink()
    found = re.search(r'<pre id="axe-found">(.*?)</pre>', shown.stdout, re.DOTALL)
    if found is None:
        raise RuntimeError(f"{page} ({look}): Chromium gave no answer. {shown.stderr[-300:]}")
    return json.loads(html.unescape(found[1]))


def reports(folder: Path) -> Iterator[Path]:
    """The report of a simulated run, and the page of the recorded matrix."""
    local, partial = OperatingPoint("output"), OperatingPoint("blocks.3", codec="u4+zstd")
    costs = {local: Cost(0.12, accuracy=1.0), partial: Cost(0.04, 6e3, 0.01, 0.08, accuracy=0.96)}
    profile, energy = Profile(costs, "00" * 32, "a small board", "a server"), EnergyModel(RASPBERRY_PI_4, WIFI_2012)
    trace = Trace([0.0, 8.0, 12.0], [20e6, 0.2e6, 6e6], duration_s=20.0)
    scheduler = Scheduler(profile, energy, deadline_s=0.2)
    runs = {"adaptive": simulate(profile, energy, trace, scheduler, frames=100, period_s=0.2)}
    write_html(folder / "report.html", runs, focus="adaptive")
    yield folder / "report.html"
    table = json.loads((RESULTS / "energy_accuracy.json").read_text(encoding="utf-8"))["rows"]
    rows = [Row(**dict(zip(table["columns"], row, strict=True))) for row in table["rows"]]
    write_page(folder / "matrix.html", rows)
    yield folder / "matrix.html"


def main() -> None:
    """Check, print what is wrong, and exit with 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, help="a folder of pages")
    parser.add_argument("--axe", type=Path, required=True, help="axe.min.js")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed; on Debian: apt-get install chromium")
    axe, wrong = options.axe.read_text(encoding="utf-8"), 0
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        # A server shows 404.html under any address, so it names its parts from the root and is bare on a disk.
        pages = [page for page in sorted(options.site.rglob("*.html")) if page.name != "404.html"]
        pages += reports(Path(folder))
        asked = list(product(pages, LOOKS))
        answers = pool.map(lambda one: violations(*one, axe, chromium), asked)
        for (page, look), found in zip(asked, answers, strict=True):
            wrong += len(found)
            for rule, element, words in found:
                print(f"{page} ({look}): {rule}: {element}: {words}")  # noqa: T201 -- it is a command
    print(f"{len(pages)} pages, {len(LOOKS)} looks of each: {wrong} violations of axe-core's rules")  # noqa: T201
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
