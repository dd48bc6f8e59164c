"""Another engine than ONNX Runtime is held against it once, and refused by name where it answers something else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from adaedge.bundle import Bundle, Subgraph, TensorSpec, engine_check, engines
from adaedge.bundle.engine_check import check_answers, distance, fp32_of
from adaedge.engine import OPENVINO, FakeEngine, available, load_engine
from adaedge.errors import BundleError
from adaedge.operating_point import Level

HALF = Subgraph("graphs/a.onnx", (TensorSpec("x", "float32", (1, 64)),), (TensorSpec("y", "float32", (1, 64)),), 0)


def plus(part):
    """What it returns is off by this part of its norm."""
    return FakeEngine(lambda x: (x * np.float32(1 + part),))


@pytest.mark.parametrize(("part", "fine"), [(1e-6, True), (9e-4, True), (2e-3, False), (0.5, False)])
def test_an_fp32_graph_answers_the_same_but_for_rounding(part, fine):
    if fine:
        check_answers(HALF, plus(part), plus(0), None, "openvino")
    else:
        with pytest.raises(
            BundleError,
            match=r"the engine openvino runs graphs/a\.onnx wrongly: its answer differs from ONNX Runtime's by"
            r" .* at most 1\.0e-03 is expected\. Run the bundle with the engine onnxruntime",
        ):
            check_answers(HALF, plus(part), plus(0), None, "openvino")


@pytest.mark.parametrize(("part", "fine"), [(0.1, True), (-0.14, True), (0.16, False), (-0.3, False)])
def test_an_int8_graph_is_as_true_to_fp32_as_it_is_in_onnx_runtime(part, fine):
    if fine:
        check_answers(HALF, plus(part), plus(0.1), plus(0), "openvino")
    else:
        with pytest.raises(BundleError, match=r"differs from fp32's by .* at most 1\.5e-01"):
            check_answers(HALF, plus(part), plus(0.1), plus(0), "openvino")


def test_an_answer_of_another_type_or_shape_is_wrong():
    assert distance([np.zeros(3)], [np.zeros(4)]) == distance([np.zeros(3)], [np.zeros(3, np.float32)]) == np.inf
    assert distance([np.array([np.nan, 1.0])], [np.array([np.nan, 1.0])]) == 0
    with pytest.raises(BundleError, match="wrongly"):
        check_answers(HALF, FakeEngine(lambda x: (x * np.float32(np.nan),)), plus(0), None, "openvino")


def test_whole_numbers_count_where_they_differ():
    assert distance([np.array([1, 2, 3, 4])], [np.array([1, 2, 3, 9])]) == 0.25
    assert distance([], []) == distance([np.zeros(0, int)], [np.zeros(0, int)]) == 0


def test_a_quantised_head_knows_the_fp32_one_of_its_place(built):
    cut = built.manifest.cut("stem")
    quantised = replace(cut, level=Level(precision="int8"), head=replace(cut.head, graph="graphs/int8.onnx"))
    narrow = replace(cut, level=Level(width=0.5), head=replace(cut.head, graph="graphs/narrow.onnx"))
    cuts = (narrow, quantised, *built.manifest.cuts)
    assert fp32_of(quantised.head, cuts) == cut.head
    assert fp32_of(cut.head, cuts) is None
    assert fp32_of(cut.tail, cuts) is None


@pytest.mark.skipif(OPENVINO not in available(), reason="needs the extra openvino")
def test_a_bundle_refuses_an_engine_that_answers_something_else(built, monkeypatch):
    def wrong(name, *given):
        made = load_engine(name, *given)
        return FakeEngine(lambda *x: tuple(2 * y for y in made.run(x))) if name == OPENVINO else made

    fresh = Bundle(built.manifest, built._files, engine=OPENVINO)
    monkeypatch.setattr(engines, "load_engine", wrong)
    with pytest.raises(BundleError, match=r"the engine openvino runs graphs/.*\.onnx wrongly"):
        fresh.head("stem")
    monkeypatch.undo()
    assert fresh.head("stem") is fresh.head("stem")


def test_onnx_runtime_is_compared_with_nothing(built, monkeypatch):
    monkeypatch.setattr(engine_check, "check_answers", None)
    assert Bundle(built.manifest, built._files).head("stem") is not None


def test_an_engine_that_does_not_exist_is_refused(built):
    for made in (built.with_engine, lambda name: Bundle(built.manifest, built._files, engine=name)):
        with pytest.raises(BundleError, match="no engine 'tflite'; there are: onnxruntime, openvino"):
            made("tflite")


def test_a_bundle_keeps_its_engine_with_other_threads(bundle):
    assert bundle.with_threads(2).engine_name == bundle.engine_name
    assert bundle.with_threads(2).with_engine("onnxruntime").threads == 2
