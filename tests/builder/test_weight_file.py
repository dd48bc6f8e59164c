"""Slices are found, verified bit for bit, and stored as tensors where they are none."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.builder.subgraphs import cut
from adaedge.builder.weight_file import LevelWeights, WeightFile
from adaedge.bundle import Slice
from adaedge.bundle.weights import part


@pytest.fixture
def full():
    return np.random.default_rng(0).standard_normal((8, 6)).astype(np.float32)


@pytest.fixture
def file(full):
    file = WeightFile()
    file.add("fc.weight", full)
    file.add("out.weight.T", np.ascontiguousarray(full.T))
    return file


def narrower(file, **index):
    names = {name.replace("_", "."): value for name, value in index.items()}
    return LevelWeights(file, "@w0.5", names)


def test_a_prefix_is_found_without_an_index(file, full):
    assert narrower(file).add("fc.weight", full[:4]) == "fc.weight@w0.5"
    assert file.slices["fc.weight@w0.5"] == Slice("fc.weight", ((0, 4), ()))


def test_an_index_is_turned_round_for_a_transposed_weight(file, full):
    kept = np.array([0, 1, 3])
    name = narrower(file, out_weight=(kept, None)).add("out.weight.T", full[kept].T)
    assert file.slices[name] == Slice("out.weight.T", ((), (0, 2, 3, 4)))
    assert np.array_equal(part(file.tensors, file.slices[name]), full[kept].T)


@pytest.mark.parametrize(
    "index", [{}, {"fc_weight": (np.array([0, 1]), None)}, {"fc_weight": (np.array([6, 9]), None)}]
)
def test_what_is_no_slice_is_stored(file, full, index):
    changed = full[:4].copy()
    changed[3, 5] = np.nextafter(changed[3, 5], np.float32(9))
    name = narrower(file, **index).add("fc.weight", changed)
    assert name not in file.slices
    assert np.array_equal(file.tensors[name], changed)


def test_the_bits_count(file):
    zeros = np.zeros((4, 8), np.float32)
    file.add("z", zeros)
    name = narrower(file).add("z", -zeros[:2])
    assert name in file.tensors, "-0.0 is not 0.0"
    assert narrower(file).add("z", zeros[:2].astype(np.float64)) in file.tensors


def test_a_weight_that_a_width_keeps_whole_is_the_full_one(file, full):
    assert narrower(file).add("fc.weight", full) == "fc.weight"
    assert not file.slices


def test_a_name_that_is_taken_is_never_given_to_another_tensor(file, full):
    other = narrower(file).add("new", full[:3] + 1)
    assert narrower(file).add("new", full[:3] + 2) == other + "'"


@settings(deadline=None)
@given(st.data())
def test_any_positions_come_back(data):
    shape = data.draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    positions = [
        data.draw(st.none() | st.lists(st.integers(0, length - 1), min_size=1, unique=True).map(np.array))
        for length in shape
    ]
    kept = array[np.ix_(*(np.arange(n) if p is None else p for n, p in zip(shape, positions, strict=True)))]
    file = WeightFile()
    file.add("w", array)
    name = LevelWeights(file, "@", {"w": positions}).add("w", kept)
    assert len(file.tensors) == 1, "never stored again"
    found = part(file.tensors, file.slices[name]) if name in file.slices else file.tensors[name]
    assert np.array_equal(found, kept)


def test_a_shared_weight_may_have_the_name_of_another_value_of_the_graph():
    """A narrower graph takes a tensor of the same content under the name that it has in the full graph."""
    ones = np.ones(40, np.float32)
    file = WeightFile()
    file.add("sum", ones)
    file.add("small", ones * 2)
    x, y = (ir.val(name, ir.DataType.FLOAT, (40,)) for name in ("x", "sum"))
    weights = {name: ir.Value(name=name, const_value=ir.tensor(value, name=name), type=ir.TensorType(ir.DataType.FLOAT),
                              shape=ir.Shape(value.shape))
               for name, value in (("a", ones), ("b", ones * 2), ("small", np.full(1, 3.0, np.float32)))}  # fmt: skip
    nodes = [ir.node("Add", [x, weights["a"]], outputs=[y])]
    for name in ("b", "small"):
        nodes.append(ir.node("Mul", [nodes[-1].outputs[0], weights[name]]))
    out = nodes[-1].outputs[0]
    out.name, out.dtype, out.shape = "out", ir.DataType.FLOAT, ir.Shape((40,))
    graph = ir.Graph([x], [out], nodes=nodes, initializers=list(weights.values()), opset_imports={"": 20}, name="g")
    data, names = cut(ir.Model(graph, ir_version=10), [x], [out], file)
    assert set(names) == {"sum", "small"}
    made = onnx.load_from_string(data).graph
    every = [value.name for value in made.initializer] + [name for node in made.node for name in node.output]
    assert len(every) == len(set(every))
