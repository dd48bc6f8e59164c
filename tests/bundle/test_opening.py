"""Engines that are loaded beside the caller are those that the caller gets, and nobody waits for another's."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from adaedge.bundle import Bundle, engines, load_in_background
from adaedge.engine import FakeEngine
from adaedge.errors import BundleError

PATIENCE_S = 30.0


class Loader:
    """In the place of `load_engine`: notes what is loaded, holds some graphs back, and fails as often as it is told."""

    def __init__(self, bundle, held=(), failures=0):
        self.engine, self.loaded, self.held, self.failures = bundle.engine_name, [], held, failures
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, name, graph, weights, threads):
        if name != self.engine:  # what the answers of the engine are compared with
            return FakeEngine(lambda *inputs: inputs)
        self.loaded.append(graph)
        if graph in self.held:
            self.begun.set()
            assert self.go_on.wait(PATIENCE_S)
        if self.failures:
            self.failures -= 1
            raise BundleError("no memory is left")
        return FakeEngine(lambda *inputs: inputs)


@pytest.fixture
def fresh(bundle):
    """The same bundle, nothing of it loaded."""
    return Bundle(bundle.manifest, bundle._files, engine=bundle.engine_name)


def partial(bundle):
    """Points at whose split points both halves hold something, one of each."""
    points = {point.split: point for point in bundle.points if point.split not in ("input", "output")}
    return [*points.values()]


def test_whoever_asks_gets_what_was_loaded_aside_once(fresh, monkeypatch):
    loader = Loader(fresh)
    monkeypatch.setattr(engines, "load_engine", loader)
    point = partial(fresh)[0]
    opening = [load_in_background(fresh, [point]) for _ in range(4)]
    route = fresh.route(point)
    head, finish = route.head, route.finish
    for one in opening:
        one.join(PATIENCE_S)
    assert len(loader.loaded) == len({*loader.loaded}) == 2
    assert (head, finish) == (fresh.route(point).head, fresh.route(point).finish)


def test_what_is_being_loaded_keeps_only_those_waiting_who_ask_for_it(fresh, monkeypatch):
    first, *_ = points = partial(fresh)
    other = next(point for point in points if fresh.manifest.cut(point.split, point.level).head != _head(fresh, first))
    loader = Loader(fresh, held=(fresh._files[_head(fresh, first).graph],))
    monkeypatch.setattr(engines, "load_engine", loader)
    opening = load_in_background(fresh, [first])
    assert loader.begun.wait(PATIENCE_S)
    assert fresh.route(other).head is not None
    asked = threading.Thread(target=lambda: fresh.route(first).head)
    asked.start()
    asked.join(0.05)
    assert asked.is_alive(), "a half was handed out before it was loaded, or loaded twice"
    loader.go_on.set()
    for one in (opening, asked):
        one.join(PATIENCE_S)
        assert not one.is_alive()
    assert len(loader.loaded) == len({*loader.loaded})


def _head(bundle, point):
    return bundle.manifest.cut(point.split, point.level).head


def test_what_cannot_be_loaded_aside_raises_for_whoever_asks_for_it(fresh, monkeypatch):
    monkeypatch.setattr(engines, "load_engine", Loader(fresh, failures=2))
    point = partial(fresh)[0]
    load_in_background(fresh, [point]).join(PATIENCE_S)
    with pytest.raises(BundleError, match="no memory is left"):
        _ = fresh.route(point).head
    assert fresh.route(point).head is not None, "a failure is not kept"


def test_real_engines_loaded_at_once_answer_as_those_loaded_one_by_one(bundle, fresh, frames):
    opening = [load_in_background(fresh, [point]) for point in bundle.points]
    for one in opening:
        one.join(PATIENCE_S)
    inputs = bundle.inputs_of(frames[0])
    for point in bundle.points:
        alone, aside = bundle.run(point, inputs), fresh.run(point, inputs)
        assert all(np.array_equal(one, other) for one, other in zip(alone, aside, strict=True))


def test_a_failure_aside_is_raised_only_for_whoever_asks(fresh, monkeypatch):
    """A thread that is told to import an engine while the interpreter ends must not print a traceback."""

    def failing(*_given):
        raise RuntimeError("can't register atexit after shutdown")

    monkeypatch.setattr(engines, "load_engine", failing)
    point = partial(fresh)[0]
    load_in_background(fresh, [point]).join(PATIENCE_S)
    with pytest.raises(RuntimeError, match="after shutdown"):
        _ = fresh.route(point).head
