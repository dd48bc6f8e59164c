"""Int8: whole graphs in, whole graphs out, chosen by agreement; heads are cut out of them."""

from collections import Counter

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from adaedge.builder.subgraphs import export
from adaedge.errors import LevelError
from adaedge.levels.precision import cosine, crossing, quantise, same_class
from adaedge.levels.precision.activation_ranges import extremes, typical_range, whole_range
from adaedge.levels.precision.agreement import agreements, fastest, first_outputs, relative_error
from adaedge.levels.precision.preparation import layers, prepared
from adaedge.levels.precision.quantisers import dynamic, overrides


class Convolutional(nn.Module):
    """Returns class scores, and what crosses two cuts: after a batch-norm and ReLU6, and after a residual addition."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.project = nn.Sequential(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.last = nn.Conv2d(16, 32, 3)
        self.classifier = nn.Linear(32, 10)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
                nn.init.uniform_(module.running_var, 0.5, 2.0)

    def forward(self, x):
        first = self.stem(x)
        second = first + self.project(self.depthwise(first))
        return self.classifier(torch.relu(self.last(second)).mean((2, 3))), first, second


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(32), nn.Linear(32, 96), nn.Linear(32, 32)
        self.up, self.down, self.head = nn.Linear(32, 128), nn.Linear(128, 32), nn.Linear(32, 6)

    def forward(self, x):
        q, k, v = self.qkv(self.norm(x)).chunk(3, -1)
        x = x + self.out((q @ k.transpose(1, 2) / 6).softmax(-1) @ v)
        x = x + self.down(torch.nn.functional.gelu(self.up(x)))
        return self.head(x[:, 0]), x


def exported(net, *shape):
    torch.manual_seed(0)
    net = net().eval()
    example = torch.randn(shape)
    model = export(net, [example])
    draw = np.random.default_rng(0)
    name = str(model.graph.inputs[0].name)
    return model, [{name: draw.normal(size=shape).astype(np.float32)} for _ in range(24)]


@pytest.fixture(scope="module")
def convolutional():
    model, samples = exported(Convolutional, 1, 3, 20, 20)
    return model, samples, quantise(model, samples, wanted=0.9)


@pytest.fixture(scope="module")
def transformer():
    model, samples = exported(Transformer, 1, 12, 32)
    return model, samples, quantise(model, samples, wanted=0.9)


def kinds(graph):
    return Counter(node.op_type for node in graph)


def run(model, sample):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options).run(None, sample)


def optimised(model, path):
    """The graph that ONNX Runtime runs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    return ir.load(path)


@pytest.mark.parametrize("which", ["convolutional", "transformer"])
def test_inputs_and_outputs_stay_as_they_were(which, request):
    model, samples, found = request.getfixturevalue(which)
    for before, after in (
        (model.graph.inputs, found.model.graph.inputs),
        (model.graph.outputs, found.model.graph.outputs),
    ):
        assert [(v.name, v.dtype, v.shape) for v in before] == [(v.name, v.dtype, v.shape) for v in after]
    for expected, one in zip(run(model, samples[0]), run(found.model, samples[0]), strict=True):
        assert (one.dtype, one.shape) == (expected.dtype, expected.shape)
        assert cosine(expected, one) > 0.99


def test_convolutions_are_static_and_all_of_them_int8(convolutional, tmp_path):
    _, _, found = convolutional
    assert (found.scheme, found.kept_fp32) == ("static", ())
    ran = kinds(optimised(found.model, tmp_path / "ran.onnx").graph)
    assert ran["QLinearConv"] == 4
    assert not ran["Conv"] + ran["FusedConv"]
    stored = [value.const_value for value in found.model.graph.initializers.values()]
    assert sum(one.size for one in stored if one.dtype == ir.DataType.INT8) > 0.95 * 16 * (
        27 + 9 + 16 + 16 * 2 * 9 + 20
    )
    assert not any(one.dtype == ir.DataType.FLOAT and one.size > 64 for one in stored)


def test_a_head_ends_with_its_last_layer_in_int8(convolutional, tmp_path):
    model, samples, found = convolutional
    for index, layers_inside in ((1, 1), (2, 3)):
        value = crossing(found.model.graph, str(model.graph.outputs[index].name))
        head = ir.Model(
            ir.convenience.extract(found.model.graph, list(found.model.graph.inputs), [value]), ir_version=10
        )
        ran = kinds(optimised(head, tmp_path / f"{index}.onnx").graph)
        assert ran["QLinearConv"] == layers_inside
        assert not ran["Conv"] + ran["FusedConv"]
        expected = run(model, samples[0])[index]
        (carried,) = run(head, samples[0])
        assert (carried.dtype, carried.shape) == (expected.dtype, expected.shape)
        assert cosine(expected, carried) > 0.999
        assert np.unique(carried).size <= 256  # it is what the int8 tensor stands for


def test_a_value_inside_is_found_dequantised(convolutional):
    model, _, found = convolutional
    inside = next(node.outputs[0] for node in prepared(model).graph if node.op_type == "Relu")
    value = crossing(found.model.graph, str(inside.name))
    assert value.producer().op_type == "DequantizeLinear"
    assert (value.dtype, value.shape) == (inside.dtype, inside.shape)


def test_a_value_that_was_fused_away_is_refused(convolutional):
    model, _, found = convolutional
    before_norm = next(node.inputs[0] for node in model.graph if node.op_type == "BatchNormalization")
    with pytest.raises(LevelError, match="Make the tensors that cross outputs of the fp32 graph"):
        crossing(found.model.graph, str(before_norm.name))


def test_matrix_products_with_weights_are_dynamic(transformer, tmp_path):
    _, _, found = transformer
    assert (found.scheme, found.kept_fp32) == ("dynamic", ())
    assert kinds(found.model.graph)["MatMulInteger"] == 5
    assert kinds(found.model.graph)["MatMul"] == 2  # of two activations
    ran = kinds(optimised(found.model, tmp_path / "ran.onnx").graph)
    assert ran["MatMulIntegerToFloat"] + ran["DynamicQuantizeMatMul"] == 5


def test_the_fp32_graph_is_left_as_it_was():
    model, samples = exported(Convolutional, 1, 3, 20, 20)
    before = ir.to_proto(model).SerializeToString()
    quantise(model, samples[:3], wanted=0)
    assert ir.to_proto(model).SerializeToString() == before


class Spoiled(Convolutional):
    """Two depthwise channels ten thousand times as strong, undone by the next layer: one scale cannot hold them all."""

    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.depthwise[1].weight[:2] *= 1e4
            self.depthwise[1].bias[:2] *= 1e4
            self.project[0].weight[:, :2] /= 1e4

    def forward(self, x):
        return super().forward(x)[0]


def test_the_worst_layer_stays_in_fp32():
    model, samples = exported(Spoiled, 1, 3, 20, 20)
    found = quantise(model, samples, wanted=0.999, metric=cosine)
    assert found.agreement >= 0.999
    assert set(found.kept_fp32) & {"depthwise.0", "project.0"}
    assert len(found.kept_fp32) < len(layers(prepared(model).graph))
    alone = quantise(model, samples, wanted=0.0, metric=cosine)
    assert alone.kept_fp32 == ()
    assert alone.agreement < found.agreement


def test_what_cannot_be_reached_is_not_claimed(transformer):
    model, samples, whole = transformer
    found = quantise(model, samples[:6], wanted=1.1, metric=cosine)
    assert len(found.kept_fp32) <= len(layers(prepared(model).graph)) // 2
    (measured,) = agreements(prepared(model), [found.model], samples[:6], cosine)
    assert found.agreement == measured < 1
    assert found.agreement > agreements(prepared(model), [whole.model], samples[:6], cosine)[0]


def test_one_layer_of_a_transformer_is_quantised_alone(transformer):
    model, _, _ = transformer
    fp32 = prepared(model)
    for name in layers(fp32.graph):
        assert kinds(dynamic(fp32, overrides(fp32), [name]).graph)["MatMulInteger"] == 1, name


def test_an_activation_belongs_to_the_layer_before_it(convolutional):
    graph = prepared(convolutional[0]).graph
    kinds_of = {str(node.name): node.op_type for node in graph}
    found = {name: [kinds_of[node] for node in nodes] for name, nodes in layers(graph).items()}
    assert found == {
        "stem.0": ["Conv", "Clip"],
        "depthwise.0": ["Conv", "Relu"],
        "project.0": ["Conv"],
        "last": ["Conv", "Relu"],
        "classifier": ["Gemm"],
    }


def test_no_samples_and_no_layers_are_refused(transformer):
    with pytest.raises(LevelError, match="there are none"):
        quantise(transformer[0], [])
    model, samples = exported(lambda: nn.Sequential(nn.ReLU()), 1, 4)
    with pytest.raises(LevelError, match="no convolution and no matrix product"):
        quantise(model, samples)


class Stream:
    """Samples made when they are asked for; counts those that are alive."""

    def __init__(self, samples):
        self.samples, self.alive, self.most = samples, 0, 0

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Stream(self.samples[index])
        stream, (name, array) = self, next(iter(self.samples[index].items()))

        class Counted(dict):
            def __del__(self):
                stream.alive -= 1

        self.alive += 1
        self.most = max(self.most, self.alive)
        return Counted({name: array.copy()})


def test_samples_are_read_one_at_a_time():
    model, samples = exported(Convolutional, 1, 3, 20, 20)
    stream = Stream(samples)
    quantise(model, stream, wanted=0)
    assert 1 <= stream.most <= 4  # one for the fp32 graph and each of its two int8 ones, and the next


def test_extremes_are_those_of_each_sample(convolutional):
    model, samples, _ = convolutional
    fp32 = prepared(model)
    seen = extremes(fp32, samples)
    entered = np.array([[next(iter(one.values())).min(), next(iter(one.values())).max()] for one in samples])
    assert np.array_equal(seen[str(fp32.graph.inputs[0].name)], entered)
    left = list(first_outputs(fp32, samples))
    rows = seen[str(fp32.graph.outputs[0].name)]
    assert np.allclose(rows, [[one.min(), one.max()] for one in left], atol=1e-5)
    assert whole_range(rows) == (rows[:, 0].min(), rows[:, 1].max())
    assert whole_range(rows)[0] < typical_range(rows)[0] < typical_range(rows)[1] < whole_range(rows)[1]


def test_agreement_is_with_the_fp32_graph(convolutional):
    model, samples, found = convolutional
    fp32 = prepared(model)
    assert agreements(fp32, [fp32, found.model], samples, same_class) == [1.0, found.agreement]
    (error,) = agreements(fp32, [found.model], samples, relative_error)
    assert 0 < error < 0.01


def test_the_fastest_is_the_one_that_does_less():
    quick, samples = exported(lambda: nn.Sequential(nn.ReLU()), 1, 64)
    slow, _ = exported(lambda: nn.Sequential(*(nn.Linear(64, 64) for _ in range(40))), 1, 64)
    sample = {str(quick.graph.inputs[0].name): next(iter(samples[0].values()))}
    slow.graph.inputs[0].name = quick.graph.inputs[0].name
    assert fastest([slow, quick], sample) == 1
