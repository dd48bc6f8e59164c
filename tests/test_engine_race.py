"""Which engine is faster here: found by a race that a slow moment cannot decide."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from adaedge.builder import Space, build
from adaedge.bundle import engines
from adaedge.engine import ENGINES, ONNX_RUNTIME, OPENVINO, FakeEngine, load_engine
from adaedge.errors import BundleError
from adaedge.operating_point import Profile
from adaedge.profiling import engine_race, machine_name, profile, race_engines


@pytest.fixture(scope="module")
def bundle():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    return build(net, (torch.zeros(1, 4),), Space(splits=["1"], codecs=["raw"]))


class Course:
    """Engines that take a time of their own by a clock of this test, and note who ran."""

    def __init__(self, took_s, wrong=()):
        self.took_s, self.wrong, self.now, self.ran = took_s, wrong, 0.0, []

    def now_s(self):
        return self.now

    def load(self, name, *given):
        made = load_engine(ONNX_RUNTIME, *given)  # both by the one that is there

        def run(*inputs):
            self.ran.append(name)
            self.now += next(self.took_s[name])
            answer = made.run(inputs)
            return tuple(2 * one for one in answer) if name in self.wrong else answer

        return FakeEngine(run)


@pytest.fixture
def race(bundle, monkeypatch):
    """Races two engines that take these times."""

    def race(onnx_s, openvino_s, wrong=()):
        course = Course({ONNX_RUNTIME: onnx_s, OPENVINO: openvino_s}, wrong)
        monkeypatch.setattr(engines, "load_engine", course.load)
        monkeypatch.setattr(engines, "check_engine", lambda name: name)
        monkeypatch.setattr(engine_race, "available", lambda: tuple(ENGINES))
        return race_engines(bundle, repetitions=5, now_s=course.now_s), course

    return race


@pytest.mark.parametrize(("onnx_s", "openvino_s", "fastest"), [(2.0, 1.0, OPENVINO), (1.0, 2.0, ONNX_RUNTIME)])
def test_the_faster_engine_is_named_with_its_time(race, onnx_s, openvino_s, fastest):
    found, _ = race(itertools.repeat(onnx_s), itertools.repeat(openvino_s))
    assert found.fastest == fastest
    assert found.seconds == pytest.approx({ONNX_RUNTIME: 3 * onnx_s, OPENVINO: 3 * openvino_s})  # both halves, whole
    assert found.refused == {}


def test_a_slow_moment_does_not_decide(race):
    found, _ = race(itertools.repeat(1.5), itertools.chain([90.0, 80.0, 70.0], itertools.cycle([1.0, 1.0, 1.0, 40.0])))
    assert found.fastest == OPENVINO


def test_they_are_run_in_turn_and_equally_often(race):
    _, course = race(itertools.repeat(1.0), itertools.repeat(1.0))
    raced = course.ran[-2 * 3 * 8 :]
    assert raced.count(ONNX_RUNTIME) == raced.count(OPENVINO) == 3 * 8
    assert sum(a != b for a, b in itertools.pairwise(raced)) > 8


def test_an_engine_that_answers_wrongly_is_not_used_however_fast(race):
    found, _ = race(itertools.repeat(2.0), itertools.repeat(1.0), wrong=(OPENVINO,))
    assert found.fastest == ONNX_RUNTIME
    assert "the engine openvino runs graphs/" in found.refused[OPENVINO]
    assert set(found.seconds) == {ONNX_RUNTIME}


def test_where_onnx_runtime_cannot_run_it_nothing_can(bundle, monkeypatch):
    def fail(name, *given):
        raise BundleError("no memory is left")

    monkeypatch.setattr(engines, "load_engine", fail)
    monkeypatch.setattr(engine_race, "available", lambda: tuple(ENGINES))
    with pytest.raises(BundleError, match="no memory is left"):
        race_engines(bundle)


def test_without_another_engine_there_is_nothing_to_race(bundle, monkeypatch):
    monkeypatch.setattr(engine_race, "available", lambda: (ONNX_RUNTIME,))
    assert race_engines(bundle) == engine_race.EngineRace(ONNX_RUNTIME, {}, {})


@pytest.mark.skipif(OPENVINO not in engine_race.available(), reason="needs the extra openvino")
def test_a_profile_says_which_engine_it_was_measured_with(bundle):
    plain, other = profile(bundle, repetitions=1), profile(bundle.with_engine(OPENVINO), repetitions=1, threads=2)
    assert (plain.terminal_engine, plain.edge_engine) == (ONNX_RUNTIME, ONNX_RUNTIME)
    assert other.terminal == machine_name(2, OPENVINO)
    assert "2 threads, OpenVINO 20" in other.terminal
    joined = Profile.from_json(Profile.join(plain, other).to_json())
    assert (joined.terminal_engine, joined.edge_engine) == (ONNX_RUNTIME, OPENVINO)
    assert set(race_engines(bundle, repetitions=2).seconds) == set(ENGINES)


def test_a_profile_from_before_there_was_a_choice_is_of_onnx_runtime(bundle):
    text = profile(bundle, repetitions=1).to_json()
    document = text.replace('"engines"', '"others"')
    assert document != text
    assert Profile.from_json(document).edge_engine == ONNX_RUNTIME
