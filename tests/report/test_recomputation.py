"""The picture of what was recomputed and what was kept."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from adaedge.report import write_html
from adaedge.report.recomputation import SHOWN, caption_of, drawn, in_part, often, overlay
from adaedge.runtime import FrameRecord


@pytest.fixture
def records(make):
    """A box that moves to the right; every third frame is computed whole."""
    found = []
    for at in range(30):
        box = (0.25, 0.5, at / 40, at / 40 + 0.25)
        found.append(
            make.frame(at, recomputed=() if at % 3 == 0 else (box,), computed_by="incremental", macs_share=0.2)
        )
    return found


def test_frames_at_even_distances_are_drawn_the_ends_among_them(records):
    shown = [record.index for record in drawn(records)]
    assert len(shown) == SHOWN
    assert (shown[0], shown[-1]) == (1, 29)
    assert not {at for at in shown if at % 3 == 0}
    assert [record.index for record in drawn(records[:3])] == [1, 2]


def test_how_often_each_place_was_recomputed(records):
    found = often(records)
    assert found.max() <= 1
    assert found[:10].max() == found[20:].max() == 0
    assert found[10:20, 1:-1].all()
    twice = replace(records[1], measurement=replace(records[1].measurement, recomputed=((0, 0.5, 0, 0.5),) * 2))
    assert often([twice]).mean() == 0.25  # boxes that overlap count once


def test_a_page_shows_it_with_its_words_in_place_of_the_picture(records, tmp_path):
    write_html(tmp_path / "r.html", {"run": records})
    page = (tmp_path / "r.html").read_text()
    assert "Recomputed and kept: run" in page
    words = caption_of(records)
    assert words.startswith("Of 20 frames of 30 a part was recomputed")
    assert "cover 6% of the picture in the median, at 20% of the multiply-accumulates" in words
    assert page.count(f'aria-label="{words}"') == 2  # wide and narrow
    for narrow in (False, True):
        tree = ElementTree.fromstring(overlay(records, narrow=narrow))
        assert "frame 29" in "".join(tree.itertext())
        assert "all of them" in "".join(tree.itertext())
    assert not re.search(r'id="(?!recomputed-)', overlay(records))


def test_a_wide_box_is_drawn_wide(make):
    drawing = overlay([make.frame(0, recomputed=((0.1, 0.2, 0.0, 0.9),))])
    (name,) = re.findall(r'href="#(\S+)"[^>]*fill: #d55e00', drawing)
    (found,) = re.findall(rf'<path id="{name}" d="([^"]*)"', drawing)
    points = np.array(re.findall(r"[ML] (\S+) (\S+)", found), float)
    width, height = np.ptp(points, axis=0)
    assert width > 5 * height > 0


def test_where_nothing_was_computed_in_part_a_page_says_nothing_of_it(make, tmp_path):
    write_html(tmp_path / "r.html", {"run": [make.frame(0), make.frame(1)]})
    assert "Recomputed" not in (tmp_path / "r.html").read_text()
    assert in_part([make.frame(0)]) == []
    assert np.array_equal(often([]), np.zeros_like(often([])))


def test_a_record_keeps_its_boxes_and_an_older_one_has_none(records):
    line = records[1].to_json()
    assert FrameRecord.from_json(line) == records[1]
    older = re.sub(r',"recomputed":\[\[.*?\]\]', "", line)
    assert older != line
    assert FrameRecord.from_json(older).measurement.recomputed == ()
