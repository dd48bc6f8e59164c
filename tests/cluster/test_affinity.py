"""Which replica a payload goes to."""

from __future__ import annotations

import random
from contextlib import ExitStack

import pytest

from adaedge.cluster import Affinity


@pytest.fixture
def two():
    affinity = Affinity()
    affinity.join("a")
    affinity.join("b")
    return affinity


def goes(affinity, stream, base=0, without=()):
    with affinity.turn(stream, base, without) as replica:
        return replica


def test_what_builds_upon_something_goes_where_that_is_held_however_busy_it_is(two):
    assert goes(two, 7) == "a"
    with ExitStack() as busy:
        for _ in range(5):
            busy.enter_context(two.turn(7, 1))
        assert goes(two, 7, base=6) == "a"


def test_a_refresh_goes_where_least_is_under_way_and_the_stream_with_it(two):
    assert goes(two, 7) == "a"
    with two.turn(7, 1):
        assert goes(two, 7, base=0) == "b"
    assert goes(two, 7, base=3) == "b"


def test_an_idle_replica_keeps_its_streams_and_new_ones_are_spread(two):
    assert [goes(two, stream) for stream in range(1, 9)] == ["a", "b"] * 4
    assert [goes(two, stream) for stream in range(1, 9)] == ["a", "b"] * 4


def test_a_lost_replica_s_streams_go_elsewhere_and_stay_there(two):
    assert goes(two, 7) == "a"
    two.leave("a")
    assert goes(two, 7, base=1) == "b"
    two.join("a")
    assert goes(two, 7, base=2) == "b"


def test_what_was_tried_is_not_tried_again_and_where_nothing_is_left_it_says_so(two):
    assert goes(two, 7) == "a"
    assert goes(two, 7, base=1, without=["a"]) == "b"
    assert goes(two, 7, base=1, without=["a", "b"]) is None
    two.leave("a")
    two.leave("b")
    assert goes(two, 0) is None


def test_frames_of_no_stream_are_not_remembered(two):
    for _ in range(10):
        goes(two, 0)
    assert two.streams == 0


def test_a_terminal_that_opens_streams_without_end_is_bound():
    affinity = Affinity(max_streams=100)
    affinity.join("a")
    affinity.join("b")
    for stream in range(1, 10_001):
        goes(affinity, stream)
    assert affinity.streams == 100
    assert sum(affinity._held.values()) == 100
    assert goes(affinity, 10_000) == goes(affinity, 10_000, base=1)


def test_what_left_and_came_back_during_a_call_is_not_counted_below_nothing(two):
    with two.turn(7, 0) as replica:
        two.leave(replica)
        two.join(replica)
    assert min(two._under_way.values()) == 0


def test_counts_agree_with_what_is_remembered_whatever_happens():
    draw, affinity = random.Random(0), Affinity(max_streams=20)
    for _ in range(2_000):
        name = draw.choice("abc")
        action = draw.random()
        if action < 0.1:
            affinity.join(name)
        elif action < 0.15:
            affinity.leave(name)
        else:
            found = goes(affinity, draw.randrange(30), draw.randrange(2))
            assert (found is None) == (not affinity.replicas)
        assert sum(affinity._held.values()) == affinity.streams <= 20
        assert set(affinity._under_way.values()) <= {0}
