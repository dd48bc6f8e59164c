"""Admission: whose turn it is, and who is refused."""

from __future__ import annotations

import threading

import pytest

from adaedge.errors import OverloadError
from adaedge.runtime.admission import RESERVE_S, Admission

COST_S = 1.0


class Edge:
    """An edge server with one slot, on a clock of its own; each payload has a thread and ends when it is told to."""

    def __init__(self, slots=1):
        self.now_s = 0.0
        self.admission = Admission(slots, lambda: self.now_s)
        self.admission.expect("kind", COST_S)
        self.began, self.refused, self._ends, self._threads = [], [], {}, []
        self._changed = threading.Condition()

    def send(self, name, left_s, terminal=""):
        """A payload comes; returns when it waits, runs or was refused."""
        self._ends[name] = threading.Event()

        def run():
            try:
                with self.admission.turn("kind", left_s, terminal):
                    self._tell(self.began, name)
                    self._ends[name].wait(10)
            except OverloadError as error:
                self._tell(self.refused, (name, str(error)))
            finally:
                with self._changed:
                    self._ends.pop(name)
                    self._changed.notify_all()

        before = self.admission.waiting, len(self.began), len(self.refused)
        self._threads.append(threading.Thread(target=run))
        self._threads[-1].start()
        self._wait(lambda: (self.admission.waiting, len(self.began), len(self.refused)) != before)

    def end(self, name, after_s=COST_S):
        """The payload that runs is done."""
        self.now_s += after_s
        self._ends[name].set()
        self._wait(lambda: name not in self._ends)

    def settled(self):
        """Let whoever was given a turn begin."""
        self._wait(lambda: len(self.began) + len(self.refused) + self.admission.waiting == len(self._threads))

    def close(self):
        while self._threads:
            for end in list(self._ends.values()):
                end.set()
            self._threads.pop().join(10)

    def _tell(self, where, what):
        with self._changed:
            where.append(what)
            self._changed.notify_all()

    def _wait(self, met):
        with self._changed:
            while not met():
                assert self._changed.wait(0.005) or True


@pytest.fixture
def edge():
    made = Edge()
    yield made
    made.close()


def test_what_is_due_first_is_computed_first(edge):
    edge.send("first", 100.0)
    for name, left_s in (("late", 90.0), ("soon", 30.0), ("never due", None), ("middle", 60.0)):
        edge.send(name, left_s)
    for name in ("first", "soon", "middle", "late"):
        assert edge.began[-1] == name
        edge.end(name)
        edge.settled()
    assert (edge.began[-1], edge.refused) == ("never due", [])


def test_what_cannot_be_in_time_is_refused_at_once_and_the_others_are_not_harmed(edge):
    edge.send("first", 1.5)
    edge.send("second", 2.5)
    edge.send("third", 2.5)
    ((name, words),) = edge.refused
    assert name == "third"
    assert words == (
        "the edge server has more work than it can do in time: 1 payloads are computed, 1 wait;"
        " this one takes 1.000 s, and its answer is due in 2.500 s"
    )
    edge.end("first")
    edge.settled()
    assert edge.began == ["first", "second"]


def test_a_newcomer_that_would_make_another_late_is_refused_though_it_could_be_in_time_itself(edge):
    edge.send("first", 1.5)
    edge.send("second", 2.2)
    edge.send("urgent", 2.1)  # alone it would be: it would come before the second
    assert [name for name, _ in edge.refused] == ["urgent"]


def test_the_way_back_is_kept_free(edge):
    edge.send("first", 1.5)
    edge.send("second", 2.0 + RESERVE_S / 2)
    assert [name for name, _ in edge.refused] == ["second"]
    edge.send("third", 2.0 + 2 * RESERVE_S)
    assert len(edge.refused) == 1


def test_an_idle_edge_server_tries_what_it_expects_to_be_late_and_learns(edge):
    edge.send("first", 0.5)
    assert edge.began == ["first"]
    edge.end("first", after_s=0.1)
    for turn in range(40):
        edge.send(str(turn), 0.5)
        edge.end(str(turn), after_s=0.1)
    edge.send("running", 10.0)
    edge.send("waits", 0.5)
    assert edge.refused == []


def test_a_greedy_terminal_takes_nothing_from_the_others(edge):
    for turn in range(6):
        edge.send(f"greedy {turn}", 100.0, "greedy")
    edge.send("modest", 100.0, "modest")
    edge.send("greedy and urgent", 4.0, "greedy")
    edge.send("modest again", 100.0, "modest")
    edge.end("greedy 0")
    edge.settled()
    edge.end(edge.began[-1])
    edge.settled()
    assert edge.began[1:] == ["modest", "modest again"]


def test_a_greedy_terminal_leaves_room_for_the_others_and_none_that_was_let_in_is_refused_for_another(edge):
    edge.send("modest", 100.0, "modest")
    for turn in range(4):
        edge.send(f"greedy {turn}", 100.0, "greedy")
    edge.send("greedy soon", 9.0 + 2 * RESERVE_S, "greedy")
    edge.send("greedy sooner", 4.0, "greedy")  # in time, but there is no room for others' payloads
    assert [name for name, _ in edge.refused] == ["greedy sooner"]
    for turn in range(7):
        edge.send(f"modest {turn}", 100.0, f"modest {turn}")
    assert len(edge.refused) == 1
    edge.send("modest 7", 100.0, "modest 7")
    assert [name for name, _ in edge.refused[1:]] == ["modest 7"]  # at once: "greedy soon" was let in
    edge.send("greedy again", 100.0, "greedy")
    edge.end("modest")
    while edge.began[-1] != "greedy again":
        edge.settled()
        edge.end(edge.began[-1])
        edge.settled()
    assert "greedy soon" in edge.began
    assert len(edge.refused) == 2


def test_what_was_let_in_is_not_refused_while_payloads_take_what_is_expected_with_caution(edge):
    for turn in range(30):  # 1 s, give or take 0.3 s
        edge.send(f"learn {turn}", 100.0)
        edge.end(f"learn {turn}", after_s=1.3 if turn % 2 else 0.7)
    edge.send("runs", 10.0)
    for turn in range(8):
        edge.send(turn, 10.0, turn)
    let_in = edge.admission.waiting
    assert 0 < let_in < 8
    edge.end("runs", after_s=1.3)
    for _ in range(let_in):
        edge.settled()
        edge.end(edge.began[-1], after_s=1.3)
    assert len(edge.refused) == 8 - let_in


def test_as_many_run_as_there_are_slots():
    edge = Edge(slots=2)
    for name in "abc":
        edge.send(name, 100.0)
    assert sorted(edge.began) == ["a", "b"]
    edge.end("a")
    edge.settled()
    assert sorted(edge.began) == ["a", "b", "c"]
    edge.close()


def test_a_turn_that_fails_is_given_back():
    admission = Admission(slots=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="no answer"), admission.turn("kind", 1.0):
            raise ValueError("no answer")
    with admission.turn("kind", 1.0) as waited_s:
        assert waited_s < 1.0


def test_a_greedy_terminals_payload_stays_before_the_others_where_it_would_be_late_behind_them(edge):
    edge.send("greedy 0", 100.0, "greedy")
    edge.send("greedy 1", 2.2, "greedy")
    edge.send("modest", 100.0, "modest")
    edge.end("greedy 0")
    edge.settled()
    edge.end("greedy 1")
    edge.settled()
    assert (edge.began, edge.refused) == (["greedy 0", "greedy 1", "modest"], [])
