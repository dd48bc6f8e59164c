"""OperatingPoint, Cost, Profile, Decision: values that cannot be wrong, and a profile that travels as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaedge.errors import LevelError, ProfileError
from adaedge.operating_point import NOT_FASTER, Cost, Decision, Level, OperatingPoint, Profile, not_faster

LOCAL = OperatingPoint("output")
SPLIT = OperatingPoint("blocks.3", 0.75, "int8", "u4+zstd")
BUNDLE = "ab" * 32
COSTS = {
    LOCAL: Cost(head_s=0.013),
    SPLIT: Cost(0.004, 0.001, 6200.0, 0.002, 0.003, 4100.0, 0.009, 0.97),
}
PROFILE = Profile(COSTS, BUNDLE, "terminal", "edge")

names = st.text(min_size=1, max_size=20).filter(lambda text: not any(mark in text for mark in "/"))
widths = st.sampled_from([1.0, 0.75, 0.5, 0.25, 0.125])


networks = names.filter(lambda text: text != "incremental")


@given(st.text(min_size=1), widths, st.sampled_from(["fp32", "int8"]), names, networks, st.booleans())
def test_a_point_is_written_and_read(split, width, precision, codec, network, incremental):
    point = OperatingPoint(split, width, precision, codec, network, incremental)
    assert OperatingPoint.parse(str(point)) == point
    plain = OperatingPoint(split, width, precision, codec)
    assert OperatingPoint.parse(str(plain)) == plain
    assert plain.level == Level(width=width, precision=precision)


def test_what_a_point_does_not_use_is_not_written():
    assert str(OperatingPoint("blocks.3", 0.5, "int8", "u4")) == "blocks.3/w0.5/int8/u4"
    assert str(OperatingPoint("blocks.3", network="s")) == "blocks.3/w1/fp32/raw/s"
    assert str(OperatingPoint("blocks.3", incremental=True)) == "blocks.3/w1/fp32/raw/incremental"
    assert OperatingPoint.parse("a/w1/fp32/raw/s/incremental").network == "s"


@pytest.mark.parametrize("network", ["", "a/b", "incremental"])
def test_a_network_has_a_name(network):
    with pytest.raises(LevelError, match="network is a name without a slash, `full` for the one that was built"):
        OperatingPoint("output", network=network)


@pytest.mark.parametrize(
    "text", ["", "output", "a/b", "a/wx/fp32/raw", "a/w2/fp32/raw", "/w1/fp32/raw", "a/w0/fp32/raw"]
)
def test_what_is_no_point_is_refused(text):
    with pytest.raises(LevelError, match=r"SPLIT/wWIDTH/PRECISION/CODEC|width is the fraction|empty name"):
        OperatingPoint.parse(text)


@pytest.mark.parametrize("width", [0, -0.5, 1.01, math.nan])
def test_a_width_is_a_fraction(width):
    with pytest.raises(LevelError, match=r"width is the fraction of channels kept, in \(0, 1\]; got"):
        OperatingPoint("output", width)


def test_a_point_has_a_split_and_does_not_change():
    with pytest.raises(LevelError, match="split is the name of a split point; got an empty name"):
        OperatingPoint("")
    with pytest.raises(FrozenInstanceError):
        LOCAL.split = "input"
    assert LOCAL.is_local
    assert not SPLIT.is_local
    assert sorted([LOCAL, SPLIT]) == [SPLIT, LOCAL]
    assert len({LOCAL, OperatingPoint("output")}) == 1


@pytest.mark.parametrize("field", [field.name for field in fields(Cost)])
@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf])
def test_a_cost_is_finite_and_not_negative(field, value):
    with pytest.raises(ProfileError, match=f"{field} is a finite number, at least 0; got {value}"):
        Cost(**({"head_s": 0.0} | {field: value}))


def test_an_accuracy_is_a_fraction():
    with pytest.raises(ProfileError, match=r"accuracy is a fraction in \[0, 1\]; got 74"):
        Cost(0.1, accuracy=74)


def test_costs_add_up_by_machine():
    cost = COSTS[SPLIT]
    assert cost.terminal_s == pytest.approx(0.005)
    assert cost.edge_s == pytest.approx(0.005)


def test_a_profile_is_a_mapping():
    assert dict(PROFILE) == COSTS
    assert len(PROFILE) == 2
    assert PROFILE[SPLIT] == COSTS[SPLIT]
    assert OperatingPoint("input") not in PROFILE


def test_a_profile_travels_as_json(tmp_path):
    assert Profile.from_json(PROFILE.to_json()) == PROFILE
    PROFILE.save(tmp_path / "profile.json")
    assert Profile.load(tmp_path / "profile.json") == PROFILE


def test_a_join_takes_each_column_from_its_machine():
    terminal = Profile({SPLIT: Cost(1, 2, 3, 4, 5, 6, 7, 0.8)}, BUNDLE, "pi", "pi")
    edge = Profile({SPLIT: Cost(10, 20, 30, 40, 50, 60, 70, 0.9)}, BUNDLE, "server", "server")
    joined = Profile.join(terminal, edge)
    assert joined[SPLIT] == Cost(1, 2, 3, 40, 50, 6, 7, 0.8)
    assert (joined.terminal, joined.edge, joined.bundle) == ("pi", "server", BUNDLE)


def test_profiles_that_do_not_fit_are_not_joined():
    with pytest.raises(ProfileError, match=r"terminal has abababababab, edge cdcdcdcdcdcd. Copy the same bundle"):
        Profile.join(PROFILE, Profile(COSTS, "cd" * 32, "a", "b"))
    with pytest.raises(ProfileError, match=r"different operating points: blocks.3/w0.75/int8/u4\+zstd"):
        Profile.join(PROFILE, Profile({LOCAL: COSTS[LOCAL]}, BUNDLE, "a", "b"))


def edited(**changes):
    return json.dumps(json.loads(PROFILE.to_json()) | changes)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "this is not a profile .* Write one with `adaedge profile BUNDLE`"),
        ("[]", "this is not a profile"),
        ("{}", "this is not a profile"),
        (edited(version=1), "not a version 4 profile: format 'adaedge-profile', version 1. Write it again"),
        (edited(format="other"), "not a version 4 profile: format 'other'"),
        (edited(points=[{"split": "output"}]), "this is not a profile"),
        (edited(points=None), "this is not a profile"),
    ],
)
def test_what_is_no_profile_is_refused(text, error):
    with pytest.raises(ProfileError, match=error):
        Profile.from_json(text)


def test_a_wrong_figure_in_a_file_is_refused():
    document = json.loads(PROFILE.to_json())
    document["points"][0]["head_s"] = -1
    with pytest.raises(ProfileError, match="head_s is a finite number"):
        Profile.from_json(json.dumps(document))
    document["points"][0] |= {"head_s": 1, "width": 3}
    with pytest.raises(ProfileError, match="width is the fraction"):
        Profile.from_json(json.dumps(document))


def test_a_missing_profile_names_its_path(tmp_path):
    with pytest.raises(ProfileError, match=r"cannot read the profile .*absent.json"):
        Profile.load(tmp_path / "absent.json")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ProfileError, match="cannot read the profile"):
        Profile.load(tmp_path / "binary")


def test_a_decision_knows_its_defaults():
    decision = Decision(LOCAL, 0.01, 0.05)
    assert (decision.accuracy, decision.rate_bps, decision.reasons) == (1.0, None, ())


@pytest.mark.parametrize("width", [1.0, 1, 0.5, 1 / 3, 1e-9])
def test_a_point_reads_back_as_it_was_written(width):
    point = OperatingPoint("a/b", width, "int8", "u4+zstd")
    assert OperatingPoint.parse(str(point)) == point


INT8 = OperatingPoint("output", precision="int8")


@pytest.mark.parametrize(("head_s", "labelled"), [(0.012, False), (0.013, True), (0.02, True)])
def test_a_precision_whose_head_is_no_faster_than_that_of_fp32_is_labelled(head_s, labelled):
    profile = Profile({LOCAL: COSTS[LOCAL], INT8: Cost(head_s)}, BUNDLE, "terminal", "edge")
    assert profile.labels == ({INT8: "smaller, not faster"} if labelled else {})
    assert json.loads(profile.to_json())["labels"] == ({"output/w1/int8/raw": NOT_FASTER} if labelled else {})
    assert Profile.from_json(profile.to_json()) == profile
    assert profile.slowed(7.0).labels == profile.labels


def test_a_label_compares_within_a_network():
    student, student8 = (OperatingPoint("output", 1.0, precision, network="s") for precision in ("fp32", "int8"))
    assert student.place == student8.place != LOCAL.place
    assert not_faster({LOCAL: Cost(0.001), student8: Cost(0.02)}) == set()
    assert not_faster({LOCAL: Cost(0.1), student: Cost(0.01), student8: Cost(0.02)}) == {student8}


def test_a_label_compares_within_a_split_and_a_width_only():
    narrow = OperatingPoint("output", 0.5)
    narrow8 = OperatingPoint("output", 0.5, "int8")
    assert not_faster({LOCAL: Cost(0.013), narrow8: Cost(0.02), SPLIT: Cost(1.0)}) == set()
    assert not_faster({LOCAL: Cost(0.013), narrow: Cost(0.01), INT8: Cost(0.012), narrow8: Cost(0.011)}) == {narrow8}


def test_a_joined_profile_labels_by_the_terminal():
    quick = Profile({LOCAL: Cost(0.02), INT8: Cost(0.01)}, BUNDLE, "pi", "pi")
    slow = Profile({LOCAL: Cost(0.01), INT8: Cost(0.02)}, BUNDLE, "server", "server")
    assert not Profile.join(quick, slow).labels
    assert Profile.join(slow, quick).labels == {INT8: NOT_FASTER}


VIDEO = OperatingPoint("input", codec="h264@28")


def by_change(**more):
    refresh = Cost(head_s=0.001, encode_s=0.004, payload_bytes=9000.0, decode_s=0.003, tail_s=0.01, accuracy=0.9)
    after = tuple(replace(refresh, encode_s=0.002, payload_bytes=size) for size in (200.0, 600.0))
    given = {"changes": (0.0, 0.2, 1.0), "next_costs": {VIDEO: after}} | more
    return Profile({VIDEO: refresh, LOCAL: Cost(head_s=0.1)}, "00", "robot", "server", **given)


def test_a_cost_lies_between_those_of_the_two_nearest_changes():
    profile = by_change()
    found = [profile.at(VIDEO, change).payload_bytes for change in (0.0, 0.05, 0.2, 0.6, 1.0)]
    assert found == pytest.approx([200.0, 300.0, 600.0, 4800.0, 9000.0])
    assert profile.at(VIDEO) == profile[VIDEO]
    assert profile.at(VIDEO, 0.6).encode_s == pytest.approx(0.003)
    assert profile.at(VIDEO, 0.1).accuracy == 0.9
    assert by_change(changes=(0.1, 0.2, 1.0)).at(VIDEO, 0.0).payload_bytes == 200.0
    assert profile.at(LOCAL, 0.1) == profile[LOCAL]


def test_costs_by_change_survive_json_slowing_and_joining():
    profile = by_change()
    assert Profile.from_json(profile.to_json()) == profile
    slow = profile.slowed(3.0).at(VIDEO, 0.0)
    assert (slow.encode_s, slow.decode_s, slow.payload_bytes) == (pytest.approx(0.006), 0.003, 200.0)
    edge = replace(
        profile, next_costs={VIDEO: tuple(replace(cost, decode_s=0.5) for cost in profile.next_costs[VIDEO])}
    )
    joined = Profile.join(profile, edge).at(VIDEO, 0.0)
    assert (joined.decode_s, joined.encode_s) == (0.5, 0.002)


def test_changes_that_cannot_be_are_refused():
    with pytest.raises(ProfileError, match=r"changes ascend from 0 or more to 1, a refresh; got \(0.2, 0.1, 1.0\)"):
        by_change(changes=(0.2, 0.1, 1.0))
    with pytest.raises(ProfileError, match=r"changes ascend .* got \(0.0, 0.2\)"):
        by_change(changes=(0.0, 0.2))
    with pytest.raises(ProfileError, match=r"h264@28 has 2 costs for 1 changes, or is not in the profile"):
        by_change(changes=(0.0, 1.0))
    with pytest.raises(ProfileError, match="profiles of other amounts of change"):
        Profile.join(by_change(), by_change(changes=(0.1, 0.2, 1.0)))


def test_an_accuracy_that_was_not_measured_meets_no_floor():
    unknown = Cost(head_s=0.1, accuracy=None)
    assert unknown.meets(0.0)
    assert not unknown.meets(1e-9)
    assert Cost(head_s=0.1, accuracy=0.0).meets(0.0)
    profile = Profile({LOCAL: unknown}, "00", "robot", "server")
    assert Profile.from_json(profile.to_json())[LOCAL].accuracy is None
