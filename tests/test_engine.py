from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from adaedge.engine import FakeEngine, OnnxEngine, Passthrough
from adaedge.errors import BundleError


def graph() -> bytes:
    """y = x · w + b, with w outside."""
    weight = onnx.TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[64, 2])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="weights.safetensors")
    bias = helper.make_tensor("b", TensorProto.FLOAT, [2], [1.0, 2.0])
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["xw"]), helper.make_node("Add", ["xw", "b"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [weight, bias],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


WEIGHT = np.arange(128, dtype=np.float32).reshape(64, 2)


def test_a_graph_runs_with_weights_from_outside():
    x = np.linspace(-1, 1, 64, dtype=np.float32)[None]
    (y,) = OnnxEngine(graph(), {"w": WEIGHT}).run([x])
    assert np.allclose(y, x @ WEIGHT + np.array([1, 2]), rtol=1e-5)


def test_inputs_need_not_be_contiguous_and_weights_may_be_read_only():
    weight = np.frombuffer(WEIGHT.tobytes(), np.float32).reshape(64, 2)
    x = np.repeat(np.ones((1, 64), np.float32), 2, axis=1)[:, ::2]
    (y,) = OnnxEngine(graph(), {"w": weight}).run([x])
    assert np.allclose(y, WEIGHT.sum(0) + np.array([1, 2]))


@pytest.mark.parametrize("weights", [{}, {"w": WEIGHT, "other": WEIGHT}, {"w": WEIGHT[:3]}])
def test_weights_that_are_not_the_graphs_are_refused(weights):
    with pytest.raises(BundleError, match=r"ONNX Runtime .* cannot load a graph: .*Build the bundle again"):
        OnnxEngine(graph(), weights)


@pytest.mark.parametrize("data", [b"", b"not an ONNX model", b"\x80\x04\x95pickle"])
def test_what_is_no_graph_is_refused(data):
    with pytest.raises(BundleError, match="cannot load a graph"):
        OnnxEngine(data, {})


@pytest.mark.parametrize(
    "inputs", [[], [np.ones((1, 3), np.float32)], [np.ones((1, 64))], [np.ones((1, 64), np.float32)] * 2]
)
def test_inputs_that_do_not_fit_are_refused(inputs):
    engine = OnnxEngine(graph(), {"w": WEIGHT})
    with pytest.raises(BundleError, match="cannot run a graph"):
        engine.run(inputs)


def test_the_half_that_holds_nothing_gives_back_its_inputs():
    x = np.ones(3)
    assert Passthrough().run([x])[0] is x


def test_a_function_can_stand_in_for_a_graph():
    assert FakeEngine(lambda a, b: (a + b,)).run([np.ones(1), np.ones(1)])[0].tolist() == [2.0]


def test_graphs_share_working_memory_and_an_output_that_is_kept_stays():
    engines = [OnnxEngine(graph(), {"w": WEIGHT * factor}) for factor in (1, 2)]
    x = np.ones((1, 64), np.float32)
    (kept,) = engines[0].run([x])
    before = kept.copy()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda turn: engines[turn % 2].run([x * turn])[0], range(200)))
    assert np.array_equal(kept, before)
    for turn, answer in enumerate(answers):
        assert np.allclose(answer, turn * (1 + turn % 2) * WEIGHT.sum(0) + np.array([1, 2]))
