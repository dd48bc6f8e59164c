import io
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest
import rich.console

from adaedge.channel import Trace
from adaedge.energy import NR_LOW_BAND, RASPBERRY_PI_4, EnergyModel, Provenance
from adaedge.errors import SourceError
from adaedge.report import Context, Origin, Rules, comparison_table, summarize, write_html
from adaedge.report.distributions import cumulative
from adaedge.report.formatting import by_cause
from adaedge.report.table import causes, comparison
from adaedge.report.timeline import POINTS_SHOWN, timeline

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Outline(HTMLParser):
    """The tags in order, every attribute, and whether each tag is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def outline(text):
    parser = Outline()
    parser.feed(text)
    assert not parser.open
    return parser


@pytest.fixture
def page(tmp_path, policies):
    def write(policies=policies, **arguments):
        path = tmp_path / "report.html"
        write_html(path, policies, **arguments)
        return path.read_text(encoding="utf-8")

    return write


def test_the_page_has_its_parts_in_order(page):
    energy = EnergyModel(RASPBERRY_PI_4, NR_LOW_BAND)
    context = Context("walk", Origin(energy), Rules(0.95), {"seed": 7}, trace=Trace([0.0, 0.2], [8e6, 1e6]))
    text = page(reference_answers=[1] * 4, focus="adaptive", context=context)
    assert text.startswith("<!doctype html>")
    assert re.findall(r"<h[12]>(.*?)</h[12]>", text) == [
        "walk",
        "Policies",
        "Over time: adaptive",
        "What was chosen, and why: adaptive",
        "Energy and latency",
        "How each figure is known",
        "Settings",
        "Environment",
    ]
    assert 'name="viewport"' in text
    assert "prefers-color-scheme: dark" in text
    assert "adaptive did not win: it missed 25.0 % of its deadlines" in text
    assert "radio 5G NSA low band (uplink, downlink preset, others assumed)" in text
    for words in ("operating point of each frame", "assumed by the scheduler", "deadline missed", "J per frame"):
        assert words in text
    assert outline(text).tags.count("svg") == 5, "the time line for a wide and for a narrow screen"


def test_nothing_is_fetched_and_nothing_runs(page):
    found = outline(page())
    assert not {"script", "link", "iframe", "object", "embed", "img", "base", "form"} & set(found.tags)
    for tag, name, value in found.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in {"src", "href", "xlink:href", "action", "data"}:
            assert value.startswith("#"), (tag, name, value)
        if not name.startswith("xmlns"):
            assert "//" not in value, (tag, name, value)
    style = re.search(r"<style>(.*?)</style>", page(), re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style


def test_whatever_comes_from_outside_is_escaped(page, make):
    evil = '<script>alert("1")</script>&\'$x_{$'
    named = {evil: [make.frame(0), make.offloaded(1, point=type(make.LOCAL)(evil, codec=evil), failure=evil)]}
    context = Context(evil, Origin(reference=evil, note=evil), settings={evil: evil}, environment={evil: evil})
    text = page(named, reference_answers=[1, 1], context=context)
    found = outline(text)
    assert "script" not in found.tags
    assert "<script" not in text
    assert not any(name.startswith("on") for _, name, _ in found.attributes)
    assert text.count("&lt;script&gt;") > 8


def test_references_inside_the_page_meet_one_target_each(page):
    text = page()
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))
    assert wanted
    assert wanted <= set(ids)


def test_a_run_without_offloads_a_rate_or_a_trace_is_drawn(page, make):
    text = page({"local": [make.frame(index) for index in range(3)]})
    assert "In figures" in text
    assert "assumed by the scheduler" not in text
    assert "local: 3 frames at 0.1000 J per frame" in text


def test_one_frame_is_enough(page, make):
    assert "1 frames" in page({"run": [make.offloaded(0)]})


def test_empty_runs_and_strange_names_are_refused(tmp_path, policies):
    path = tmp_path / "report.html"
    with pytest.raises(SourceError, match="no policies to report on"):
        write_html(path, {})
    with pytest.raises(SourceError, match="no records of frames"):
        write_html(path, policies | {"static": []})
    with pytest.raises(SourceError, match="no policy 'fixed' to report on; there are: local, adaptive"):
        write_html(path, policies, focus="fixed")
    assert not path.exists()


def test_a_figure_is_svg_that_follows_the_page(make):
    svg = timeline([make.frame(0), make.offloaded(1)])
    ET.fromstring(svg)
    assert "var(--ink, #1f2933)" in svg
    assert svg == timeline([make.frame(0), make.offloaded(1)])  # the same run gives the same page


def test_many_points_share_a_row(make):
    points = [type(make.LOCAL)(f"blocks.{index}") for index in range(POINTS_SHOWN + 3)]
    svg = timeline([make.frame(index, point) for index, point in enumerate(points * 2)])
    assert "other points" in svg
    assert "blocks.0" in svg
    assert svg.count(">blocks.") == POINTS_SHOWN


def test_no_column_mixes_what_was_measured_with_what_was_modelled(policies):
    summaries = {name: summarize(records, [1] * 4) for name, records in policies.items()}
    columns, rows = comparison(summaries, Origin())
    known = {(column.name, column.unit): column.known for column in columns}
    assert known["energy", "J/frame"] == "modelled"
    assert known["latency", "p50, ms"] == known["missed", "%"] == "measured"
    simulated = {column.name: column.known for column in comparison(summaries, Origin(time=Provenance.MODELLED))[0]}
    assert simulated["latency"] == simulated["missed"] == "modelled"
    untold = {column.name: column.known for column in comparison(summaries, Origin(time=None))[0]}
    assert untold["latency"] == untold["missed"] == "recorded"
    assert "times as recorded" in Origin(time=None).caption()
    assert rows[1] == [
        "adaptive",
        "0.0790",
        "20.0",
        "105.0",
        "25.0",
        "9.38",
        "100.0",
        "2",
        "blocks.3 u4+zstd 50 %, local 25 %, input jpeg@90 25 %",
    ]


def test_no_cause_of_energy_is_lost_between_the_summary_and_the_reader(policies):
    summary = summarize(policies["adaptive"])
    assert sum(by_cause(summary.energy).values()) == pytest.approx(summary.energy_j_per_frame)
    columns, rows = causes({"adaptive": summary})
    assert [column.name for column in columns] == ["policy", "compute", "transmit", "tail", "waiting", "all"]
    # one local frame of 0.1 J and three offloads of 0.072 J, of which 0.042 J is waking, sending and receiving
    assert rows == [["adaptive", "0.0400", "0.0315", "0.0045", "0.0030", "0.0790"]]


def test_the_distribution_of_latency_ends_at_every_frame():
    assert cumulative([30.0, 10.0, 20.0, 20.0]) == ([0, 10, 20, 20, 30], [0, 0.25, 0.5, 0.75, 1])


def test_the_table_fits_a_narrow_terminal_and_says_how_joules_are_known(policies):
    origin = Origin(EnergyModel(RASPBERRY_PI_4, NR_LOW_BAND), note="terminal slowed 3-fold")
    console = rich.console.Console(width=80, record=True, file=io.StringIO())
    policies["adaptive without levels"] = policies["adaptive"]
    console.print(comparison_table({name: summarize(records) for name, records in policies.items()}, origin))
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    for words in ("J/frame", "modelled", "p95, ms", "adaptive", "0.0790", "compute power preset", "slowed 3-fold"):
        assert words in " ".join(text.split())
    assert "…" not in text
