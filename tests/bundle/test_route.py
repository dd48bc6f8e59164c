"""A bound route does what the bundle does, once looked up."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from adaedge.bundle import Bundle
from adaedge.errors import BundleError, CodecError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import StreamPosition

POSITION = StreamPosition(9, 4, 0, 0.5)


@pytest.fixture(scope="module")
def inputs(bundle, frames):
    return (bundle.preprocess(frames[0]),)


def answered(bundle, route, inputs):
    """A frame along a route, there and back."""
    payload, _ = route.encode(route.head.run(inputs), POSITION)
    message, answer = bundle.answer(payload)
    return route.decode_answer(bundle.encode_answer(message, answer, edge_s=0.25), POSITION)


def test_a_route_answers_as_the_bundle_does_at_every_point(bundle, inputs):
    for point in bundle.points:
        route, expected = bundle.route(point), bundle.run(point, inputs)
        assert (route.point, route.is_local) == (point, point.is_local)
        if point.is_local:
            found = route.head.run(inputs)
        else:
            header, found = answered(bundle, route, inputs)
            assert header.edge_s == 0.25
            assert np.array_equal(
                bundle.answers.reduce(route.finish.run(route.head.run(inputs)))[0],
                bundle.run(OperatingPoint(point.split, point.width, point.precision), inputs)[0],
            )
        assert np.array_equal(found[0], expected[0]), point


def test_a_payload_is_the_same_by_route_and_by_bundle(bundle, inputs):
    point = OperatingPoint("stem", codec="u8")
    route = bundle.route(point)
    features = route.head.run(inputs)
    assert route.encode(features, POSITION)[0] == bundle.encode_next(point, features, POSITION)[0]
    message = bundle.read(route.encode(features, POSITION)[0])
    assert (message.stream, message.sequence, message.deadline_s) == (9, 4, 0.5)
    assert message.bundle == bundle.digest
    assert message.tensors[0].axis == 1  # a range for each channel


def test_a_point_is_bound_once_and_by_the_bundles_name_for_it(bundle):
    point = OperatingPoint("stem", codec="u8")
    assert bundle.route(point) is bundle.route(OperatingPoint("stem", codec="u8"))
    alias = bundle.route(OperatingPoint("stem.2", codec="u8"))
    assert alias.point == point
    assert alias.head is bundle.route(point).head is bundle.head("stem")
    assert bundle.route(OperatingPoint("stem")).codec != bundle.route(point).codec


def test_at_the_input_a_frame_is_finished_by_the_local_model(bundle):
    point, manifest = OperatingPoint("input", codec="jpeg@90"), bundle.manifest
    cuts = {cut.split: cut for cut in manifest.cuts}
    # A tail at the input of its own, as a level has whose precision is not the edge server's.
    whole = replace(cuts["input"].tail, graph="graphs/copy.onnx")
    cuts["input"] = replace(cuts["input"], tail=whole)
    files = bundle._files | {whole.graph: bundle._files[cuts["output"].head.graph]}
    other = Bundle(replace(manifest, cuts=tuple(cuts.values())), files, engine=bundle.engine_name)
    route = other.route(point)
    assert route.finish is other.head("output") is not other.tail("input")
    assert route.edge is other.tail("input")
    assert other.route(OperatingPoint("stem")).finish is other.tail("stem")
    del cuts["output"]  # no local model: the tail is the whole model as well
    points = tuple(entry for entry in manifest.points if not entry.point.is_local)
    without = Bundle(replace(manifest, cuts=tuple(cuts.values()), points=points), files, engine=bundle.engine_name)
    assert without.route(point).finish is without.tail("input")


def test_what_is_not_held_is_not_bound(bundle, inputs):
    with pytest.raises(BundleError, match="no split point 'nowhere'"):
        bundle.route(OperatingPoint("nowhere"))
    with pytest.raises(BundleError, match=r"no split point 'stem' at width 0.5"):
        bundle.route(OperatingPoint("stem", width=0.5))
    with pytest.raises(CodecError, match="no codec 'u9'"):
        bundle.route(OperatingPoint("stem", codec="u9"))
    with pytest.raises(CodecError, match="is local: it sends nothing"):
        bundle.route(OperatingPoint("output")).encode(inputs, POSITION)


def test_a_route_refuses_another_bundles_answer(bundle, inputs):
    other = Bundle(
        bundle.manifest.__class__.from_bytes(bundle.manifest.to_bytes()), bundle._files, engine=bundle.engine_name
    )
    route = other.route(OperatingPoint("stem"))
    assert route is not bundle.route(OperatingPoint("stem"))
    payload, _ = route.encode(route.head.run(inputs), POSITION)
    message, answer = bundle.answer(payload)  # the same bundle, loaded twice
    data = bundle.encode_answer(message, answer, edge_s=0.0)
    assert np.array_equal(route.decode_answer(data, POSITION)[1][0], answer[0])
    for wrong in (StreamPosition(9, 5), StreamPosition(8, 4)):
        with pytest.raises(PayloadError, match="seal does not match"):
            route.decode_answer(data, wrong)
    with pytest.raises(PayloadError, match="seal does not match"):
        other.route(OperatingPoint("stem", codec="u8")).decode_answer(data, POSITION)


def test_threads_bind_and_run_one_point_together(bundle, frames):
    fresh = Bundle(bundle.manifest, bundle._files, engine=bundle.engine_name)
    points = [point for point in bundle.points if not point.is_local] * 4
    images = [(bundle.preprocess(frame),) for frame in frames]
    expected = {point: [bundle.run(point, image)[0] for image in images] for point in bundle.points}

    def run(point):
        route = fresh.route(point)
        return point, [answered(fresh, route, image)[1][0] for image in images]

    with ThreadPoolExecutor(8) as pool:
        for point, found in pool.map(run, points):
            assert all(map(np.array_equal, found, expected[point]))
