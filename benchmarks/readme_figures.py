"""Write the figures of README.md and of docs/explanation/demo.md from the results.

A page holds ``<!-- figures: NAME -->`` … ``<!-- end -->``; what stands between is made here, and a test holds it equal.
Nothing is measured.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs/explanation/demo.md")
RESULTS = ROOT / "benchmarks/results"
RADIOS = {"nr-low-band": "5G", "lte-2021": "LTE", "wifi-2012": "Wi-Fi"}
STILL = "standing still"
FIXED = ("local int8", "JPEG always", "H.264 always")

Row = dict[str, Any]


def document(name: str) -> Any:
    """A result."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def rows(name: str) -> Any:
    """The rows of a result."""
    return document(name)["rows"]


def settings(name: str) -> Row:
    """The settings of a result; what it comes to stands there too."""
    return dict(document(name)["settings"])


def demo() -> tuple[Row, dict[str, dict[str, Row]]]:
    """Settings of the demo, and radio → policy → what it came to over all recorded links."""
    runs = rows("demo")
    merged = {
        radio: {name: _over_links([run["radios"][radio]["policies"][name] for run in runs]) for name in one["policies"]}
        for radio, one in runs[0]["radios"].items()
    }
    return runs[0]["settings"], merged


def _over_links(runs: list[Row]) -> Row:
    """One policy on several links: the mean of the joules, the worst of the rest."""
    scenes = {
        scene: {"energy_j_per_frame": fmean(run["scenes"][scene]["energy_j_per_frame"] for run in runs)}
        for scene in runs[0]["scenes"]
    }
    return {
        "energy_j_per_frame": fmean(run["energy_j_per_frame"] for run in runs),
        "score": min(run["score"] for run in runs),
        "deadline_miss_fraction": max(run["deadline_miss_fraction"] for run in runs),
        "bytes_per_frame": max(run["bytes_per_frame"] for run in runs),
        "scenes": scenes,
    }


def joules(policy: Row, scene: str | None = None) -> float:
    """Joules a frame, of all scenes or of one."""
    return float(policy["energy_j_per_frame"] if scene is None else policy["scenes"][scene]["energy_j_per_frame"])


def percent(values: list[float]) -> str:
    """Savings as fractions, in words: ``8, 9, 10 % less``."""
    whole = [round(100 * value) for value in values]
    if all(value == 0 for value in whole):
        return "no difference"
    if all(value >= 0 for value in whole):
        return f"{', '.join(map(str, whole))} % less"
    if all(value <= 0 for value in whole):
        return f"{', '.join(str(-value) for value in whole)} % more"
    return f"{', '.join(map(str, whole))} % less (below 0: more)"


def saved(before: str, after: str = "adaptive", scene: str | None = None) -> str:
    """What one policy saves against another under the three radios."""
    _, radios = demo()
    return percent([1 - joules(each[after], scene) / joules(each[before], scene) for each in radios.values()])


def best_fixed() -> str:
    """What the scheduler saves against the best of the fixed policies that keep the floor."""
    about, radios = demo()
    found = []
    for each in radios.values():
        kept = [joules(each[name]) for name in FIXED if each[name]["score"] >= about["accuracy_floor"]]
        found.append(1 - joules(each["adaptive"]) / min(kept))
    return percent(found)


def recorded_links() -> tuple[int, int, list[float]]:
    """On how many links levels save more than half a per cent, of how many; and what the bottleneck adds to levels."""
    links = rows("techniques_on_traces")
    more = [1 - one["both"]["energy_j_per_frame"] / one["levels"]["energy_j_per_frame"] for one in links]
    return sum(one["levels_save"] > 0.005 for one in links), len(links), more


def picture_ratio() -> float:
    """EfficientNet-Lite0 at 92 % agreement: bytes of the best of JPEG and WebP by those of the bottleneck."""
    from benchmarks.rate_accuracy import at, kind

    mine = [row for row in rows("rate_accuracy") if row["network"] == "timm:efficientnet_lite0"]
    bytes_at: dict[str, float] = {
        name: at([row for row in mine if kind(row["codec"]) == name], 0.92, "agreement")["bytes"]
        for name in ("jpeg", "webp", "bottleneck")
    }
    return float(min(bytes_at["jpeg"], bytes_at["webp"]) / bytes_at["bottleneck"])


def techniques() -> str:
    """Where each technique pays, and where it does not."""
    pays, of, more = recorded_links()
    lowest = min(each["H.264 always"]["score"] for each in demo()[1].values())
    table = [
        ("technique", "where it pays", "where it does not"),
        ("---", "---", "---"),
        (
            "choosing anew for each frame",
            f"robot demo: {best_fixed()} energy than the best fixed way",
            "a link that never changes: the best fixed way is as good",
        ),
        (
            "keeping the last answer while little changes",
            f"camera standing still: {saved('adaptive without kept answers', scene=STILL)}",
            f"camera that rides: {saved('adaptive without kept answers', scene='riding')}",
        ),
        (
            "smaller versions of the network (narrower, int8)",
            f"robot demo: {saved('adaptive without levels')}; {pays} of {of} recorded links",
            f"{of - pays} of {of} recorded links, where whole frames are sent",
        ),
        (
            "compressing features by training (the bottleneck)",
            f"bytes: {picture_ratio():.1f} × fewer than JPEG or WebP at 92 % agreement",
            f"energy: robot demo {saved('adaptive without bottleneck')}; recorded links"
            f" {100 * min(more):.1f} to {100 * max(more):.1f} % less",
        ),
        (
            "video codecs",
            f"bytes: {1 / settings('video_bytes')['ratios']['divergence']:.1f} × fewer than JPEG at the same answers",
            f"robot demo: {saved('adaptive without video codecs')}; H.264 alone scores {lowest:.3f}, below the floor",
        ),
        (
            "sending only features that changed (deltas)",
            f"bytes: {settings('delta_bytes')['geometric_mean']:.1f} × fewer than the best quick video codec",
            f"robot demo: {saved('adaptive without delta')}",
        ),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in table)


def alternatives() -> str:
    """What people would use instead, each with its strength."""
    about, radios = demo()

    def spent(name: str) -> str:
        return ", ".join(f"{joules(each[name]):.3f}" for each in radios.values())

    local, sent, mine = spent("local int8"), spent("H.264 always"), spent("adaptive")
    lowest = min(each["H.264 always"]["score"] for each in radios.values())
    taken = sum((row.get("macs_ratio") or 1) <= 0.55 for row in rows("width_coverage"))
    table = [
        ("instead of adaedge", "take it when", "measured here"),
        ("---", "---", "---"),
        (
            "ONNX Runtime alone",
            "there is no server, or the network is small",
            f"int8: {local} J a frame; adaedge {mine}",
        ),
        (
            "H.264 to a server",
            "the link is steady, and people watch the video too",
            f"{sent} J a frame, at a score of {lowest:.3f}: the floor of {about['accuracy_floor']:.3f} is missed",
        ),
        (
            "Torch-Pruning",
            "you want one smaller network, and can train it again",
            f"adaedge finds its channel groups with it; {taken} of {len(rows('width_coverage'))} networks get half as"
            " many MACs",
        ),
        ("CompressAI", "people look at the pictures, or you do research on learned codecs", "not compared"),
        ("petals", "a language model is too large for one machine", "not compared: no battery, no deadline"),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in table)


def whole_demo() -> str:
    """Every policy of the demo under every radio."""
    about, radios = demo()
    head = ["policy", *(f"{name}, J/frame" for name in RADIOS), "camera still, J/frame", "score, lowest"]
    lines = [[*head, "missed, most, %", "KB/frame, most"], ["---"] * 7]
    for name in next(iter(radios.values())):
        each = [radios[radio][name] for radio in RADIOS]
        cells = [
            f"{joules(one):.3f}" if one["score"] >= about["accuracy_floor"] else f"({joules(one):.3f})" for one in each
        ]
        still = ", ".join(f"{joules(one, STILL):.3f}" for one in each)
        missed = max(100 * one["deadline_miss_fraction"] for one in each)
        sent = max(one["bytes_per_frame"] for one in each) / 1e3
        lowest = min(one["score"] for one in each)
        lines.append([name, *cells, still, f"{lowest:.3f}", f"{missed:.1f}", f"{sent:.1f}"])
    lines[1] = ["---"] * len(lines[0])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def sentences() -> str:
    """What the demo's table says, in words."""
    return (
        f"The scheduler with everything takes {best_fixed()} energy than the best of local int8, JPEG and H.264 that\n"
        f"keeps the floor, under the three radios in the order of the table; where the camera stands still\n"
        f"{_still()}.\n"
        f"Against the best fixed point in hindsight, which no terminal has: {saved('best static')}. Kept answers:\n"
        f"{saved('adaptive without kept answers')}; levels: {saved('adaptive without levels')}; deltas:\n"
        f"{saved('adaptive without delta')}; video codecs: {saved('adaptive without video codecs')}; the bottleneck:\n"
        f"{saved('adaptive without bottleneck')}."
    )


def _still() -> str:
    about, radios = demo()
    found = []
    for each in radios.values():
        kept = [joules(each[name], STILL) for name in FIXED if each[name]["score"] >= about["accuracy_floor"]]
        found.append(1 - joules(each["adaptive"], STILL) / min(kept))
    return percent(found)


BLOCKS: dict[str, Callable[[], str]] = {
    "techniques": techniques,
    "alternatives": alternatives,
    "demo": whole_demo,
    "demo in words": sentences,
}
BLOCK = re.compile(r"(<!-- figures: ([\w ]+) -->\n)(?:(?!<!-- ).)*(<!-- end -->)", re.DOTALL)


def filled(text: str) -> str:
    """A page with the figures of the results that are there now.

    Raises:
        KeyError: if it names a block that nothing makes.
    """
    return BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]]() + "\n" + found[3], text)


def main() -> None:
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
        print(page.relative_to(ROOT))


if __name__ == "__main__":
    main()
