from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from adaedge.engine import ENGINES, FakeEngine, Passthrough, available, check_engine, load_engine, version_of
from adaedge.engine.onnx_weights import filled
from adaedge.errors import BundleError, MissingExtraError


@pytest.fixture(params=ENGINES)
def load(request):
    """Loads a graph in one of the engines."""
    if request.param not in available():
        pytest.skip(f"{request.param} is not installed")

    def load(graph, weights, threads=1):
        return load_engine(request.param, graph, weights, threads)

    return load


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


def test_a_graph_runs_with_weights_from_outside(load):
    x = np.linspace(-1, 1, 64, dtype=np.float32)[None]
    (y,) = load(graph(), {"w": WEIGHT}).run([x])
    assert np.allclose(y, x @ WEIGHT + np.array([1, 2]), rtol=1e-5)


def test_inputs_need_not_be_contiguous_and_weights_may_be_read_only(load):
    weight = np.frombuffer(WEIGHT.tobytes(), np.float32).reshape(64, 2)
    x = np.repeat(np.ones((1, 64), np.float32), 2, axis=1)[:, ::2]
    (y,) = load(graph(), {"w": weight}).run([x])
    assert np.allclose(y, WEIGHT.sum(0) + np.array([1, 2]))


@pytest.mark.parametrize("weights", [{}, {"w": WEIGHT, "other": WEIGHT}, {"w": WEIGHT[:3]}])
def test_weights_that_are_not_the_graphs_are_refused(weights, load):
    with pytest.raises(BundleError, match=r"(ONNX Runtime|OpenVINO) .* cannot load a graph: .*Build the bundle again"):
        load(graph(), weights)


@pytest.mark.parametrize("data", [b"", b"not an ONNX model", b"\x80\x04\x95pickle"])
def test_what_is_no_graph_is_refused(data, load):
    with pytest.raises(BundleError, match="cannot load a graph"):
        load(data, {})


@pytest.mark.parametrize(
    "inputs", [[], [np.ones((1, 3), np.float32)], [np.ones((1, 64))], [np.ones((1, 64), np.float32)] * 2]
)
def test_inputs_that_do_not_fit_are_refused(inputs, load):
    engine = load(graph(), {"w": WEIGHT})
    with pytest.raises(BundleError, match="cannot run a graph"):
        engine.run(inputs)


def test_the_half_that_holds_nothing_gives_back_its_inputs():
    x = np.ones(3)
    assert Passthrough().run([x])[0] is x


def test_a_function_can_stand_in_for_a_graph():
    assert FakeEngine(lambda a, b: (a + b,)).run([np.ones(1), np.ones(1)])[0].tolist() == [2.0]


def test_graphs_share_working_memory_and_an_output_that_is_kept_stays(load):
    engines = [load(graph(), {"w": WEIGHT * factor}) for factor in (1, 2)]
    x = np.ones((1, 64), np.float32)
    (kept,) = engines[0].run([x])
    before = kept.copy()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda turn: engines[turn % 2].run([x * turn])[0], range(200)))
    assert np.array_equal(kept, before)
    for turn, answer in enumerate(answers):
        assert np.allclose(answer, turn * (1 + turn % 2) * WEIGHT.sum(0) + np.array([1, 2]))


def test_an_engine_answers_the_same_while_others_use_it(load):
    engine = load(graph(), {"w": WEIGHT}, threads=2)
    inputs = [np.full((1, 64), value, np.float32) for value in range(40)]
    expected = [engine.run([one])[0] for one in inputs]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda one: engine.run([one])[0], inputs))
    assert all(map(np.array_equal, found, expected))


@pytest.mark.skipif("openvino" not in available(), reason="needs the extra openvino")
def test_frames_one_after_another_share_one_request():
    engine = load_engine("openvino", graph(), {"w": WEIGHT})
    for _ in range(5):
        engine.run([np.ones((1, 64), np.float32)])
    assert len(engine._free) == 1, "a request holds memory for all activations"


def test_weights_are_put_into_the_file_and_nothing_else_changes():
    filled_in = onnx.load_model_from_string(filled(graph(), {"w": WEIGHT.T[::-1].T[:, ::-1]}))
    weight, bias = filled_in.graph.initializer
    assert np.array_equal(onnx.numpy_helper.to_array(weight), WEIGHT[:, ::-1][:, ::-1])
    assert weight.data_location == TensorProto.DEFAULT
    assert not weight.external_data
    del filled_in.graph.initializer[0]
    plain = onnx.load_model_from_string(graph())
    del plain.graph.initializer[0]
    assert filled_in == plain
    assert bias.name == "b"


def test_sizes_that_are_written_one_by_one_are_read_too():
    """Protocol buffers know two ways to write several numbers: packed in one field, and a field for each."""
    apart, packed = b"\x08\x40\x08\x02", b"\x0a\x02\x40\x02"  # of one length: those around them stay right
    assert graph().count(apart) == 1
    for one in (apart, packed):
        found = onnx.load_model_from_string(filled(graph().replace(apart, one), {"w": WEIGHT}))
        assert np.array_equal(onnx.numpy_helper.to_array(found.graph.initializer[0]), WEIGHT)


@pytest.mark.parametrize("end", [1, 3, 10, -1, -3])
def test_a_file_that_ends_early_is_refused(end):
    with pytest.raises(BundleError, match="it is no ONNX file"):
        filled(graph()[:end], {"w": WEIGHT})


def test_an_engine_that_is_not_there_is_refused(monkeypatch):
    assert check_engine("onnxruntime") == "onnxruntime"
    assert version_of("onnxruntime").startswith("ONNX Runtime 1.")
    with pytest.raises(BundleError, match=r"^no engine 'tensorrt'; there are: onnxruntime, openvino$"):
        check_engine("tensorrt")
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert available() == ()
    with pytest.raises(
        MissingExtraError, match=r"the engine openvino needs openvino.*pip install 'adaedge\[openvino\]'"
    ):
        check_engine("openvino")


def test_no_engine_but_onnx_runtime_is_imported_before_it_is_asked_for():
    program = "import sys, adaedge, adaedge.bundle, adaedge.profiling; sys.exit('openvino' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
