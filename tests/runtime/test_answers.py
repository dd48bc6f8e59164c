"""The law of answers: the same bits from the edge server and from the terminal, whatever the answer codec."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from adaedge.bundle import Bundle
from adaedge.channel import Trace
from adaedge.energy import ComputePower, EnergyModel, presets
from adaedge.errors import BundleError, LinkDownError, PayloadError
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.profiling import profile
from adaedge.runtime import EdgeServer, EdgeSession, FrameRecord, GrpcLink, ManualClock, ReplayLink, Terminal, session
from adaedge.scheduling import Fixed, Scheduler

FEATURES, LOCAL = OperatingPoint("relu", codec="u8"), OperatingPoint("output")
CODECS = ["raw", "raw+zstd", "f16", "f16+zstd", "u8+zstd", "best@1", "best@5"]
ENERGY = EnergyModel(ComputePower(3.7), presets.WIFI_2012)


def answering(bundle, name):
    return Bundle(replace(bundle.manifest, answer=name), bundle._files)


def terminal_of(bundle, link, clock=None, policy=None):
    costs = {FEATURES: Cost(0.001, 0.001, 2300, 0.001, 0.001, 40, 0.001), LOCAL: Cost(0.05)}
    scheduler = Scheduler(
        Profile(costs, bundle.digest, "test", "test"), ENERGY, deadline_s=2.0, period_s=0.2, policy=policy
    )
    return Terminal(bundle, scheduler, link, clock=clock)


def replayed(bundle, change=lambda answer: answer):
    edge = EdgeSession(bundle)
    return ReplayLink(Trace((0.0, 1e6), (1e7, 1e7)), lambda data: change(edge.answer(data)), ManualClock())


def assert_equal(found, expected):
    assert [(one.dtype, one.shape) for one in found] == [(one.dtype, one.shape) for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", CODECS)
def test_a_terminal_gets_the_same_bits_from_both_machines(bundle, frame, name):
    bundle = answering(bundle, name)
    image = (bundle.preprocess(frame),)
    features = bundle.head("relu").run(image)
    outputs = bundle.tail("relu").run(bundle.decode(bundle.encode(FEATURES, features))[1])
    expected = bundle.answers.codec.reduce(outputs)
    assert_equal(bundle.run(FEATURES, image), expected)
    link = replayed(bundle)
    with terminal_of(bundle, link, link.clock, Fixed(FEATURES)) as terminal:
        result = terminal.infer(frame)
        assert result.measurement.answered_by == "edge"
        assert_equal(result.output, expected)
        assert_equal(result.answer, expected)
    link = replayed(bundle, lambda answer: answer[:-1])
    with terminal_of(bundle, link, link.clock, Fixed(FEATURES)) as terminal:
        result = terminal.infer(frame)
        assert (result.measurement.answered_by, result.measurement.failure) == ("terminal", "corrupted")
        assert_equal(result.output, bundle.answers.reduce(bundle.tail("relu").run(features)))
    link = replayed(bundle)
    with terminal_of(bundle, link, link.clock, Fixed(LOCAL)) as terminal:
        assert_equal(terminal.infer(frame).output, bundle.answers.reduce(bundle.head("output").run(image)))


@pytest.mark.parametrize("name", ["raw+zstd", "best@5"])
def test_over_grpc(bundle, frame, credentials, name):
    bundle = answering(bundle, name)
    with EdgeServer(bundle, credentials=credentials) as server:
        server.preload()
        link = GrpcLink(server.address, certificate=credentials.certificate, token=credentials.token)
        with terminal_of(bundle, link, policy=Fixed(FEATURES)) as terminal:
            result = terminal.infer(frame)
    assert (result.measurement.answered_by, result.measurement.failure) == ("edge", "")
    assert_equal(result.output, bundle.run(FEATURES, (bundle.preprocess(frame),)))
    if name == "best@5":
        assert result.measurement.answer_bytes == 19 + 5 * 3


@pytest.mark.parametrize("name", CODECS)
def test_an_answer_is_believed_only_whole_and_by_whoever_asked(bundle, frame, name):
    bundle = answering(bundle, name)
    payload = bundle.encode(FEATURES, bundle.head("relu").run((bundle.preprocess(frame),)), sequence=7)
    data, request = EdgeSession(bundle).answer(payload), bundle.read(payload).request
    _, answer = bundle.decode_answer(data, request)
    assert_equal(answer, bundle.run(FEATURES, (bundle.preprocess(frame),)))
    for at in range(len(data)):
        for changed in (data[:at], data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :]):
            with pytest.raises(PayloadError):
                bundle.decode_answer(changed, request)
    for other in (
        replace(request, sequence=8),
        replace(request, stream=1),
        replace(request, point=replace(FEATURES, codec="u7")),
        replace(request, bundle="00" * 32),
    ):
        with pytest.raises(PayloadError, match="answer to another frame"):
            bundle.decode_answer(data, other)


def test_another_answer_codec_is_another_bundle(bundle):
    best = answering(bundle, "best@5")
    assert best.digest != bundle.digest
    with pytest.raises(BundleError, match="this bundle cannot answer: no answer codec 'best'; there are raw,"):
        answering(bundle, "best")


def test_the_answer_to_the_frame_before_is_not_believed(bundle, frame):
    kept = []

    def older(answer):
        kept.append(answer)
        return kept[0]

    link = replayed(bundle, older)
    with terminal_of(bundle, link, link.clock, Fixed(FEATURES)) as terminal:
        assert [terminal.infer(frame).measurement.failure for _ in range(2)] == ["", "corrupted"]


@pytest.mark.parametrize("name", CODECS)
def test_a_record_says_what_was_answered(bundle, frame, name):
    bundle = answering(bundle, name)
    link = replayed(bundle)
    with terminal_of(bundle, link, link.clock) as terminal:
        (record,) = session.run(terminal, [frame])
        answer = terminal.infer(frame).answer
    scores = bundle.head("output").run((bundle.preprocess(frame),))[0]
    if name != "u8+zstd":  # of two scores on one level the first is taken
        assert record.answer == int(scores.argmax())
    first = answer[1][0, 0] if name.startswith("best") else answer[0].max()
    assert record.outputs == [{"class": record.answer, "score": float(first)}]
    assert FrameRecord.from_json(record.to_json()) == record
    older = json.loads(record.to_json())
    del older["outputs"]
    assert FrameRecord.from_json(json.dumps(older)) == replace(record, outputs=None)


def test_what_is_no_class_is_told_by_type_shape_and_checksum(bundle):
    def described(*answer):
        return bundle.answers.described(answer)

    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert described(table) == [{"dtype": "float32", "shape": [3, 4], "crc32": "3e667d78"}]
    assert described(table.T) != described(table)
    assert described(np.array([[np.nan, 1.0]])) == [{"class": 0, "score": None}]
    for other in (np.zeros((1, 8, 14, 14)), np.zeros((2, 10)), np.zeros((1, 1)), np.zeros((1, 10), int)):
        assert bundle.answers.best_class((other,)) is None
    assert bundle.answers.best_class((np.array([[0.1, 0.7, 0.2]]),)) == 1


def test_its_bytes_and_seconds_are_in_the_profile(bundle, frame):
    raw, best = (profile(answering(bundle, name), repetitions=2, frames=[frame]) for name in ("raw", "best@5"))
    classes = bundle.manifest.outputs[0].shape[1]
    assert {cost.answer_bytes for point, cost in best.items() if not point.is_local} == {19 + 5 * 3}
    assert {cost.answer_bytes for point, cost in raw.items() if not point.is_local} == {19 + 4 * classes}
    compressed = profile(answering(bundle, "raw+zstd"), repetitions=2, frames=[frame])
    packed = answering(bundle, "raw+zstd")
    answer = packed.run(LOCAL, (packed.preprocess(frame),))
    assert compressed[FEATURES].answer_bytes == 19 + len(packed.answers.write(answer))


def test_a_link_that_is_down_changes_no_answer(bundle, frame):
    class Down:
        def hello(self, digest, timeout_s):
            raise LinkDownError("gone")

        exchange = probe = hello

        def close(self):
            pass

    bundle = answering(bundle, "best@5")
    with pytest.warns(UserWarning, match="answered locally"), terminal_of(bundle, Down(), ManualClock()) as terminal:
        assert_equal(terminal.infer(frame).output, bundle.run(LOCAL, (bundle.preprocess(frame),)))
