import pytest

from adaedge.matrix import techniques
from adaedge.matrix.pruning import worth_offering
from adaedge.matrix.techniques import JPEG, LOCAL, PARTIAL, VIDEO, alone, in_mode, is_base, offered, without
from adaedge.operating_point import KEPT, Cost, KeptCurve, KeptKnot, OperatingPoint, Profile

POINTS = [
    OperatingPoint.parse(text)
    for text in (
        "kept/w1/fp32/raw",
        "input/w1/fp32/raw",
        "input/w1/fp32/jpeg@75",
        "input/w1/fp32/h264@28",
        "input/w1/fp32/h264-444@20",
        "b.3/w1/fp32/u4+zstd",
        "b.3/w1/int8/u4+zstd",
        "b.3/w1/fp32/bottleneck@2",
        "b.3/w1/int8/bottleneck@2",
        "b.3/w1/fp32/delta@2",
        "b.3/w0.5/fp32/u4+zstd",
        "output/w1/fp32/raw",
        "output/w1/int8/raw",
        "output/w0.5/fp32/raw",
        "output/w0.5/int8/raw",
        "output/w1/fp32/raw/student",
        "output/w1/fp32/raw/incremental",
    )
]
BASE = {"input/w1/fp32/raw", "input/w1/fp32/jpeg@75", "output/w1/fp32/raw"}


def test_before_any_technique_there_are_a_whole_frame_and_a_local_run():
    assert {str(point) for point in POINTS if is_base(point)} == BASE


@pytest.mark.parametrize(
    ("technique", "own"),
    [
        ("kept answers", {"kept/w1/fp32/raw"}),
        ("delta", {"b.3/w1/fp32/delta@2"}),
        ("bottleneck", {"b.3/w1/fp32/bottleneck@2"}),
        ("video codecs", {"input/w1/fp32/h264@28", "input/w1/fp32/h264-444@20"}),
        ("dynamic partition", {"b.3/w1/fp32/u4+zstd"}),
        ("width", {"b.3/w0.5/fp32/u4+zstd", "output/w0.5/fp32/raw"}),
        ("precision", {"b.3/w1/int8/u4+zstd", "output/w1/int8/raw"}),
        ("students", {"output/w1/fp32/raw/student"}),
        ("incremental", {"output/w1/fp32/raw/incremental"}),
    ],
)
def test_a_technique_alone_uses_no_other(technique, own):
    assert {str(point) for point in alone(POINTS, technique)} == BASE | own


def test_a_technique_that_a_bundle_has_not_is_left_out():
    assert alone([point for point in POINTS if not point.incremental], "incremental") == []
    assert set(techniques.TECHNIQUES) >= {
        "bottleneck",
        "dynamic partition",
        "width",
        "precision",
        "kept answers",
        "delta",
    }


def test_modes():
    assert [str(point) for point in in_mode(POINTS, VIDEO)] == ["input/w1/fp32/h264@28", "input/w1/fp32/h264-444@20"]
    assert [str(point) for point in in_mode(POINTS, JPEG)] == ["input/w1/fp32/jpeg@75"]
    assert all(point.split == "b.3" for point in in_mode(POINTS, PARTIAL))
    assert len(in_mode(POINTS, PARTIAL)) == 6
    assert all(point.split == "output" for point in in_mode(POINTS, LOCAL))


def profile(**more):
    curve = KeptCurve("moved-blocks", "of blocks moved", "iou", (KeptKnot(0.1, 0.99, 0.98, 9),))
    after = {POINTS[3]: (Cost(0.1, payload_bytes=5),)}
    return Profile({point: Cost(0.1) for point in POINTS}, "", "a", "b", (0.1, 1.0), after, kept=curve, **more)


def test_a_part_of_a_profile_keeps_what_belongs_to_its_points():
    part = offered(profile(), POINTS[1:4])
    assert [*part] == POINTS[1:4]
    assert [*part.next_costs] == [POINTS[3]]
    assert part.kept is None, "no point keeps"
    assert without(profile(), "video codecs").kept is not None
    assert without(profile(), "video codecs").next_costs == {}


def test_of_many_rates_the_cheapest_that_keeps_the_floor_and_the_most_accurate_are_offered():
    rates = [OperatingPoint("b", codec=f"delta@{rate}") for rate in range(5)]
    costs = {
        point: Cost(0.1, payload_bytes=100.0 * (rate + 1), accuracy=0.8 + 0.04 * rate)
        for rate, point in enumerate(rates)
    }
    costs[OperatingPoint("output")] = Cost(0.2)
    steady = {point: Cost(0.1, payload_bytes=500 - cost.payload_bytes) for point, cost in costs.items()}
    assert worth_offering(costs, costs, 0.85) == [rates[2], rates[4], OperatingPoint("output")]
    assert worth_offering(costs, steady, 0.85) == [rates[4], OperatingPoint("output")], "by bytes in a stream"
    assert worth_offering(costs, costs, 0.99) == [rates[4], OperatingPoint("output")], "none keeps it: the nearest"
    assert KEPT in worth_offering(costs | {KEPT: Cost(0.0, accuracy=None)}, steady | {KEPT: Cost(0.0)}, 0.85)
