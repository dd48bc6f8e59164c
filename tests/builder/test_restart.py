"""A build that is stopped goes on where it was, and never by what is stale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from adaedge.builder import Space, build, quantisation, top1
from adaedge.builder.build_cache import BuildCache, key
from adaedge.builder.scorer import Scorer

SPACE = Space(["0"], (1.0, 0.5), ("fp32", "int8"), ("raw", "u4"))
IMAGE = (torch.zeros(1, 3, 8, 8),)


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def samples():
    values = np.random.default_rng(0)
    return [(values.standard_normal((1, 3, 8, 8)).astype(np.float32),) for _ in range(4)]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3), nn.Flatten(), nn.Linear(64, 3)).eval()


@pytest.fixture
def work(monkeypatch):
    """What was really done."""
    done = []
    quantise, accuracy = quantisation.quantise, Scorer.accuracy
    monkeypatch.setattr(quantisation, "quantise", lambda *given: done.append("int8") or quantise(*given))
    monkeypatch.setattr(Scorer, "accuracy", lambda self, *given: done.append(str(given[0])) or accuracy(self, *given))
    return done


def stop_at(what, count):
    def progress(stage, done, total):
        if (stage, done) == (what, count):
            raise StoppedError

    return progress


def test_a_stopped_build_goes_on_and_gives_the_same_bundle(tmp_path, samples, work):
    whole = build(network(), IMAGE, SPACE, calibrate=samples)
    assert work.count("int8") == 2
    assert len(work) == 2 + len(whole.points)
    for what, count, expected in (("quantise", 1, ["int8"]), ("measure", 9, ["int8", *map(str, whole.points[:9])])):
        work.clear()
        with pytest.raises(StoppedError):
            build(network(), IMAGE, SPACE, calibrate=samples, scratch=tmp_path / "s", progress=stop_at(what, count))
        assert work == expected
    work.clear()
    again = build(network(), IMAGE, SPACE, calibrate=samples, scratch=tmp_path / "s")
    assert work == [str(point) for point in whole.points[9:]]
    assert again.digest == whole.digest


def test_other_weights_or_samples_are_worked_on_anew(tmp_path, samples, work):
    build(network(), IMAGE, SPACE, calibrate=samples, scratch=tmp_path)
    other = network()
    with torch.no_grad():
        other[0].weight *= 1.1
    for net, inputs in ((other, samples), (network(), samples[:3])):
        work.clear()
        fresh = build(net, IMAGE, SPACE, calibrate=inputs)
        from_scratch = build(net, IMAGE, SPACE, calibrate=inputs, scratch=tmp_path)
        assert from_scratch.digest == fresh.digest
        assert work.count("int8") == 4


def test_labels_count_and_a_users_own_evaluation_is_never_kept(tmp_path, samples):
    values = []
    for labels in ([0, 0, 0, 0], [1, 1, 1, 1]):
        evaluate = top1(zip(samples, labels, strict=True))
        bundle = build(network(), IMAGE, Space(), evaluate=evaluate, scratch=tmp_path)
        values.append(bundle.manifest.points[-1].accuracy.value)
    assert values[0] != values[1]
    for value in (0.25, 0.75):
        bundle = build(network(), IMAGE, Space(), evaluate=lambda predict, value=value: value, scratch=tmp_path)
        assert bundle.manifest.points[-1].accuracy.value == value


def test_a_result_is_whole_or_not_there(tmp_path):
    scratch = BuildCache(tmp_path)

    def killed():
        raise StoppedError

    with pytest.raises(StoppedError):
        scratch.get_or("a", killed)
    assert scratch.get_or("a", lambda: b"1") == b"1"
    assert scratch.get_or("a", killed) == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_keys_tell_apart_what_is_put_together_differently():
    assert key("k", b"ab", b"c") != key("k", b"a", b"bc")
    assert key("k", b"a") != key("j", b"a")
    assert key("k", "ä") == key("k", "ä".encode())
