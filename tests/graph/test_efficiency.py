"""Choosing split points when nobody has named any."""

from __future__ import annotations

from adaedge.graph.efficiency import efficient
from adaedge.graph.split_points import SplitPoint


def at(name, payload_bytes, head_macs, total=1000):
    return SplitPoint(name, payload_bytes, head_macs, total - head_macs, ())


def test_only_points_that_spare_the_link_more_than_any_before_are_kept():
    points = [at("input", 100, 0), at("a", 400, 100), at("b", 80, 300), at("c", 90, 500), at("c:relu", 10, 510)]
    points += [at("d", 20, 700), at("output", 4, 1000)]
    assert efficient(points) == ("b", "d")


def test_they_are_spread_over_the_macs_and_not_more_than_asked_for():
    points = [at("input", 1000, 0), *(at(f"b{i}", 900 - i, 10 * i) for i in range(1, 100)), at("output", 4, 1000)]
    assert efficient(points, most=3) == ("b25", "b50", "b75")


def test_a_model_without_a_better_place_than_its_ends_gives_none():
    assert efficient([at("input", 10, 0), at("a", 50, 500), at("output", 4, 1000)]) == ()
