from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import BertConfig, BertModel

from adaedge.builder import Space, build, partition, top1
from adaedge.builder.fitting_codecs import codecs_for
from adaedge.builder.subgraphs import cut, export, source
from adaedge.builder.weight_file import WeightFile
from adaedge.bundle import Accuracy, Bundle, Preprocessing, weights
from adaedge.engine import OnnxEngine
from adaedge.errors import BundleError, CaptureError, CodecError, LevelError, MetricError, ModelError, SplitError
from adaedge.graph import CrossingTensor, SplitPoint, Splittable
from adaedge.metrics import LabelIoU, Score, wilson
from adaedge.operating_point import INPUT, OUTPUT, OperatingPoint

PREPROCESSING = Preprocessing(size=(16, 16))
SPACE = Space(splits=["norm", "stem"], codecs=["jpeg@1", "u1", "raw+zstd"])


class Branches(nn.Module):
    """The input crosses unchanged, a crossing tensor is also an output, one tensor is returned twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.second = nn.Linear(6, 4)

    def forward(self, x, scale):
        first = self.first(x).relu()
        kept = first.clone()
        second = self.second(first.clone().clone()) + kept.mean(1, keepdim=True)
        return {"twice": (first, first), "sum": second * scale + x, "count": second.argmax(1)}


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.mix = nn.Linear(16, 16)
        self.head = nn.Linear(16, 50, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.mix(self.embed(tokens)))


class Classifier(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, classes)

    def forward(self, image):
        return self.head(self.norm(self.stem(image)).relu().amax((2, 3)))


def tensors(*shapes):
    torch.manual_seed(1)
    return tuple(torch.randn(shape) for shape in shapes)


def arrays(values):
    return tuple(value.numpy() for value in values)


@pytest.fixture(scope="module")
def branches():
    torch.manual_seed(0)
    net = Branches().eval()
    return net, build(net, tensors((2, 4), (2, 1)), Space(splits=["first", "second"], codecs=["raw", "u8"]))


@pytest.fixture(scope="module")
def samples():
    values = np.random.default_rng(0)
    colours = values.integers(256, size=(12, 1, 1, 3))
    noise = values.integers(-40, 40, size=(12, 20, 30, 3))
    return list(np.clip(colours + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def classifier(samples):
    torch.manual_seed(0)
    net = Classifier()
    images = (torch.from_numpy(np.stack(samples)).permute(0, 3, 1, 2) / 255 - 0.45) / 0.225
    net(images)
    with torch.no_grad():
        net.eval().head.bias -= net(images).mean(0)  # so that the classes differ
    return net


@pytest.fixture(scope="module")
def calls():
    return []


@pytest.fixture(scope="module")
def built(classifier, samples, calls):
    return build(
        classifier,
        tensors((1, 3, 16, 16)),
        SPACE,
        calibrate=iter(samples),
        preprocessing=PREPROCESSING,
        labels=["a", "b", "c", "d"],
        name="tests:net",
        trained=False,
        progress=lambda *call: calls.append(call),
    )


def test_inputs_outputs_and_duplicates_may_cross(branches):
    net, bundle = branches
    x, scale = tensors((2, 4), (2, 1))
    with torch.no_grad():
        made = net(x, scale)
    expected = [*made["twice"], made["sum"], made["count"]]
    for split in (INPUT, "first", "second", OUTPUT):
        found = bundle.run(OperatingPoint(split), arrays((x, scale)))
        assert [array.dtype.name for array in found] == ["float32"] * 3 + ["int64"]
        for one, other in zip(found, expected, strict=True):
            assert np.allclose(one, other.numpy(), rtol=1e-5, atol=1e-6), split


def test_every_split_point_of_an_awkward_model_can_be_cut(branches):
    net, _ = branches
    example = tensors((2, 4), (2, 1))
    names = [point.name for point in Splittable(net, example, dynamic=False).points]
    assert len(names) > 6
    bundle = build(net, example, Space(splits=names))  # which holds each of them against the model
    assert [cut.split for cut in bundle.manifest.cuts] == names


def test_copies_of_copies_lead_back_to_their_source(branches):
    class Copies(nn.Module):
        def forward(self, x):
            return x.exp().clone().clone().clone()

    exported = export(Copies(), tensors((2, 4)))
    value = source(exported.graph.outputs[0])
    assert value.producer().op_type == "Exp"
    assert source(value) is value


def test_the_examples_batch_is_the_graphs_and_multiples_are_cut(branches):
    net, bundle = branches
    x, scale = tensors((6, 4), (6, 1))
    with torch.no_grad():
        expected = net(x, scale)["sum"].numpy()
    found = bundle.run(OperatingPoint("second"), arrays((x, scale)))
    assert np.allclose(found[2], expected, rtol=1e-5, atol=1e-6)
    for wrong in (1, 5):
        with pytest.raises(BundleError, match=rf"inputs: expected float32 \(2, 4\).*got float32 \({wrong}, 4\)"):
            bundle.run(OperatingPoint("second"), arrays(tensors((wrong, 4), (wrong, 1))))


def test_a_part_whose_values_repeat_or_pass_through_is_still_a_graph(branches):
    net, _ = branches
    split = Splittable(net, tensors((2, 4), (2, 1)), dynamic=False)
    exported = export(split.tap(["first"]).graph, tensors((2, 4), (2, 1)))
    x, first = exported.graph.inputs[0], source(exported.graph.outputs[0])
    file = WeightFile()
    head, names = cut(exported, list(exported.graph.inputs), [first, x, first], file)
    graph = onnx.load_from_string(head).graph
    outputs = {value.name for value in graph.output}
    assert len(outputs) == 3, "ONNX wants each output once"
    assert not outputs & {value.name for value in graph.input}, "and none of them an input"
    engine = OnnxEngine(head, {name: file.tensors[name] for name in names})
    values = arrays(tensors((2, 4), (2, 1)))
    one, same, again = engine.run(values)
    assert np.array_equal(one, again)
    assert np.array_equal(same, values[0])


def test_tied_weights_are_stored_once():
    torch.manual_seed(0)
    net = Tied().eval()
    bundle = build(net, (torch.arange(6)[None],), Space(splits=["embed", "mix"], codecs=["raw"]))
    stored = weights.views(bundle._files["weights.safetensors"])
    of_the_table = [name for name, array in stored.items() if array.size == 50 * 16]
    assert of_the_table == ["head.weight", "head.weight.T"], "looked up, and multiplied with: two layouts, each once"
    file = WeightFile()
    assert file.add("a", np.ones(40)) == file.add("b", np.ones(40)) == "a"
    assert file.add("a", np.zeros(40)) == "a'"
    assert file.add("c", np.ones((4, 10))) == "c"


def test_keyword_arguments_and_structured_outputs_of_a_transformer():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    net = BertModel(config).eval()
    kwargs = {"attention_mask": torch.tensor([[1, 1, 1, 1, 0]]), "input_ids": torch.tensor([[5, 6, 7, 8, 9]])}
    bundle = build(net, (), Space(splits=["encoder.layer.0"], codecs=["raw", "u8"]), kwargs=kwargs)
    assert [spec.dtype for spec in bundle.manifest.inputs] == ["int64", "int64"]
    other = {"attention_mask": torch.tensor([[1, 1, 1, 0, 0]]), "input_ids": torch.tensor([[50, 6, 17, 8, 0]])}
    with torch.no_grad():
        expected = net(**other)
    found = bundle.run(OperatingPoint("encoder.layer.0"), arrays(other.values()))
    assert np.allclose(found[0], expected.last_hidden_state.numpy(), rtol=1e-4, atol=1e-5)
    assert np.allclose(found[1], expected.pooler_output.numpy(), rtol=1e-4, atol=1e-5)


def test_both_ends_are_always_there_and_codecs_go_where_they_fit(built):
    assert [str(point) for point in built.points] == [
        "input/w1/fp32/raw",
        "input/w1/fp32/jpeg@1",
        "input/w1/fp32/raw+zstd",
        "stem/w1/fp32/u1",
        "stem/w1/fp32/raw+zstd",
        "norm/w1/fp32/u1",
        "norm/w1/fp32/raw+zstd",
        "output/w1/fp32/raw",
    ]
    cut_at = {cut.split: cut for cut in built.manifest.cuts}
    assert cut_at[INPUT].payload_bytes == 16 * 16 * 3
    assert cut_at["stem"].payload_bytes == 8 * 14 * 14 * 4
    assert cut_at[INPUT].head is None
    assert cut_at[OUTPUT].tail is None
    assert cut_at[INPUT].tail == cut_at[OUTPUT].head
    assert cut_at["stem"].head.macs + cut_at["stem"].tail.macs == cut_at[OUTPUT].head.macs
    assert cut_at["stem"].tail.inputs[0].axis == 1


def test_building_again_gives_the_same_bundle(built, classifier, samples):
    said = {"labels": ["a", "b", "c", "d"], "name": "tests:net", "trained": False}
    image = tensors((1, 3, 16, 16))
    again = build(classifier, image, SPACE, calibrate=samples, preprocessing=PREPROCESSING, **said)
    assert again.digest == built.digest


def test_nothing_of_the_model_is_changed(classifier, caplog):
    net = copy.deepcopy(classifier).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    bundle = build(net, tensors((1, 3, 16, 16)), Space(splits=["norm"]))
    assert "the network is in training mode and is built as in evaluation mode" in caplog.text
    assert net.training
    assert net.norm.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    image = tensors((1, 3, 16, 16))
    with torch.no_grad():
        expected = classifier(*image).numpy()
    assert np.allclose(bundle.run(OperatingPoint("norm"), arrays(image))[0], expected, rtol=1e-5, atol=1e-6)


def test_batch_norm_stays_batch_norm(built, classifier):
    stored = weights.views(built._files["weights.safetensors"])
    assert np.array_equal(stored["stem.weight"], classifier.stem.weight.detach().numpy())
    assert b"BatchNormalization" in built._files["graphs/whole.onnx"]


# --- what cannot be built ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ({"widths": (1.0, 0.0)}, r"width is the fraction of channels kept, in \(0, 1\]; got 0\.0"),
        ({"widths": (1.5,)}, r"in \(0, 1\]; got 1\.5"),
        ({"widths": ("half",)}, r"in \(0, 1\]; got 'half'"),
        ({"widths": ()}, r"widths has none; name at least one, such as 1\.0"),
        ({"precisions": ()}, r"precisions has none; name at least one of fp32 and int8"),
        ({"precisions": ("fp16",)}, r"no precision 'fp16'; there are fp32 and int8"),
        ({"widths": 0.5}, r"widths is a sequence; got 0\.5 alone\. Write \[0\.5\]"),
    ],
)
def test_a_level_that_cannot_be_is_refused(levels, words):
    with pytest.raises(LevelError, match=words):
        Space(**levels)


def test_a_space_is_made_of_sequences_and_known_codecs():
    with pytest.raises(LevelError, match=r"splits is a sequence; got 'stem' alone\. Write \['stem'\]"):
        Space(splits="stem")
    with pytest.raises(CodecError, match="no codec 'u9'"):
        Space(codecs=["u9"])


def test_a_split_point_that_no_codec_fits_is_an_error(classifier):
    with pytest.raises(
        CodecError, match=r"none of the codecs jpeg@90 can carry what crosses at 'norm' \(float32 .*Add 'raw'"
    ):
        build(classifier, tensors((1, 3, 16, 16)), Space(splits=["norm"], codecs=["jpeg@90"]))


def test_a_jpeg_carries_frames_and_only_where_a_frame_is():
    frame = (CrossingTensor("uint8", (1, 8, 8, 3)),)
    space = Space(codecs=["jpeg@90", "u8", "webp@80", "avif@50", "jpeg444@90", "bottleneck"])
    pictures = ("raw", "jpeg@90", "webp@80", "avif@50", "jpeg444@90")
    assert codecs_for(SplitPoint(INPUT, 192, 0, 0, frame), space) == pictures
    with pytest.raises(CodecError, match="none of the codecs"):
        codecs_for(SplitPoint("stem", 192, 0, 0, frame), space)


@pytest.mark.parametrize("preprocessing", [None, PREPROCESSING])
def test_an_unknown_split_point_is_an_error_in_the_users_own_names(classifier, preprocessing):
    with pytest.raises(SplitError, match=r"no split point 'norn'; nearest: norm") as caught:
        build(classifier, tensors((1, 3, 16, 16)), Space(splits=["norn"]), preprocessing=preprocessing)
    assert "net." not in str(caught.value)


def test_aliases_and_operators_of_a_wrapped_model_are_found(classifier):
    image = tensors((1, 3, 16, 16))
    names = [point.name for point in Splittable(classifier, image).points]
    operator = next(name for name in names if name.startswith(":"))
    bundle = build(classifier, image, Space(splits=[operator, "head"]), preprocessing=PREPROCESSING)
    assert [cut.split for cut in bundle.manifest.cuts] == [INPUT, operator, OUTPUT]
    assert bundle.manifest.cuts[-1].aliases == ("head",)


@pytest.mark.parametrize("shape", [(1, 3, 17, 16), (1, 1, 16, 16), (1, 16, 16, 3)])
def test_preprocessing_must_fit_the_example(classifier, shape):
    with pytest.raises(
        ModelError, match=r"preprocessing makes one image \('N', 3, 16, 16\).*or leave preprocessing out"
    ):
        build(classifier, tensors(shape), Space(), preprocessing=PREPROCESSING)
    image = tensors((1, 3, 16, 16))
    with pytest.raises(ModelError, match="the example has"):
        build(classifier, image * 2, Space(), preprocessing=PREPROCESSING)
    with pytest.raises(ModelError, match="the example has"):
        build(classifier, image, Space(), kwargs={"mask": None}, preprocessing=PREPROCESSING)


@pytest.mark.filterwarnings("ignore")
def test_a_model_that_cannot_be_exported_is_an_error_that_says_why(capsys):
    class Undecided(nn.Module):
        def forward(self, x):
            return x[x > 0].sum() if x.sum().item() > 0 else x

    with pytest.raises(CaptureError, match=r"the model cannot be exported to ONNX: .*`Splittable` runs the model"):
        build(Undecided().eval(), tensors((1, 4)), Space())
    assert capsys.readouterr() == ("", "")  # and not by pages of graph


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.fc(x) * self.calls


@pytest.mark.filterwarnings("ignore:.*Only `input` and `output`")
def test_a_split_of_a_model_that_was_not_captured_says_why_it_was_not():
    with pytest.raises(CaptureError, match=r"Counting cannot be captured: it writes to its buffer calls"):
        build(Counting().eval(), tensors((1, 4)), Space(splits=["fc"]))


@pytest.mark.filterwarnings("ignore:.*Only `input` and `output`")
def test_the_ends_of_a_model_that_was_not_captured_are_built_where_onnx_allows(monkeypatch):
    def unforeseen(*_):
        raise TypeError

    monkeypatch.setattr("adaedge.graph.plan.channel_axes", unforeseen)
    bundle = build(nn.Linear(4, 4).eval(), tensors((1, 4)), Space(splits=[OUTPUT]))
    assert [cut.split for cut in bundle.manifest.cuts] == [INPUT, OUTPUT]


def test_graphs_that_compute_something_else_are_never_returned(classifier, monkeypatch):
    whole = partition.cut

    def wrong(model, inputs, outputs, file):
        data, names = whole(model, inputs, outputs, file)
        if "stem.weight" in file.tensors:
            file.tensors["stem.weight"] = file.tensors["stem.weight"] * 1.01
        return data, names

    monkeypatch.setattr(partition, "cut", wrong)
    with pytest.raises(CaptureError, match=r"differ from the model by .*, relative to the largest output"):
        build(classifier, tensors((1, 3, 16, 16)), Space(splits=["norm"]))


# --- what is measured -------------------------------------------------------------------------------------------------


def test_payloads_and_agreement_are_measured_through_the_real_codec(built, samples):
    prepared = [(built.preprocess(frame),) for frame in samples]
    truth = [built.run(OperatingPoint(OUTPUT), inputs)[0].argmax() for inputs in prepared]
    for entry in built.manifest.points:
        found = [built.run(entry.point, inputs)[0].argmax() for inputs in prepared]
        agreement = float(np.mean([one == other for one, other in zip(found, truth, strict=True)]))
        assert (entry.accuracy.metric, entry.accuracy.samples) == ("agreement", 12)
        assert entry.accuracy.value == pytest.approx(agreement)
        assert (entry.accuracy.low, entry.accuracy.high) == pytest.approx(wilson(agreement * 12, 12))
        if not entry.point.is_local:
            head = built.head(entry.point.split)
            lengths = [len(built.encode(entry.point, head.run(inputs))) for inputs in prepared]
            assert entry.payload_bytes == pytest.approx(np.mean(lengths))
    values = {entry.point: entry.accuracy.value for entry in built.manifest.points}
    assert values[OperatingPoint("stem", codec="raw+zstd")] == 1.0
    assert min(values.values()) < 1.0, "else this test proves nothing"
    assert built.manifest.points[-1].payload_bytes == 0.0


def test_the_users_own_evaluation_is_taken(classifier, samples):
    seen = []

    def evaluate(predict):
        outputs = [predict((np.stack([frame[:16, :16] for frame in samples[:4]]),))[0] for _ in range(2)]
        seen.append([array.shape for array in outputs])
        return 0.75

    space = Space(splits=["stem"], codecs=["u8"])
    bundle = build(classifier, tensors((1, 3, 16, 16)), space, evaluate=evaluate, preprocessing=PREPROCESSING)
    assert seen == [[(4, 4), (4, 4)]] * 3
    for entry in bundle.manifest.points:
        assert (entry.accuracy.metric, entry.accuracy.value, entry.accuracy.samples) == ("accuracy", 0.75, 4)
        assert (entry.payload_bytes > 0) != entry.point.is_local


def test_labels_score_top1(built, classifier, samples):
    prepared = [(frame[None, :16, :16],) for frame in samples]
    labels = [int(built.run(OperatingPoint(OUTPUT), inputs)[0].argmax()) for inputs in prepared]
    labels[0] = (labels[0] + 1) % 4
    evaluate = top1(zip(prepared, labels, strict=True))
    bundle = build(classifier, tensors((1, 3, 16, 16)), Space(), evaluate=evaluate, preprocessing=PREPROCESSING)
    local = bundle.manifest.points[-1].accuracy
    assert (local.metric, local.value, local.samples) == ("top1", pytest.approx(11 / 12), 12)


def test_a_segmenter_is_scored_by_its_label_maps_at_every_point():
    net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()
    samples = [arrays(tensors((1, 3, 8, 8))) for _ in range(6)]
    bundle = build(net, tensors((1, 3, 8, 8)), Space(splits=["1"], codecs=["raw", "u2"]), calibrate=samples)
    found = {str(entry.point): entry.accuracy for entry in bundle.manifest.points}
    assert {accuracy.metric for accuracy in found.values()} == {"iou"}
    assert found["1/w1/fp32/raw"].value == found["output/w1/fp32/raw"].value == 1
    point = OperatingPoint("1", codec="u2")
    local = OperatingPoint(OUTPUT)
    expected, given = ([bundle.run(one, inputs) for inputs in samples] for one in (local, point))
    assert found[str(point)].value == LabelIoU().score(expected, given).value < 1


def test_a_metric_of_ones_own_scores_every_point():
    class Halves:
        name = "halves"

        def score(self, expected, given):
            assert len(expected) == len(given) == 3
            return Score(0.5, 3, 0.25, 0.75)

    samples = [arrays(tensors((1, 3, 4, 4))) for _ in range(3)]
    bundle = build(nn.Conv2d(3, 2, 1).eval(), tensors((1, 3, 4, 4)), Space(), calibrate=samples, evaluate=Halves())
    assert {entry.accuracy for entry in bundle.manifest.points} == {Accuracy("halves", 0.5, 3, 0.25, 0.75)}
    with pytest.raises(MetricError, match="halves compares answers on samples, and there are none"):
        build(nn.Conv2d(3, 2, 1).eval(), tensors((1, 3, 4, 4)), Space(), evaluate=Halves())


def test_what_no_metric_judges_says_so():
    boxes = nn.Linear(6, 4).eval()
    with pytest.warns(UserWarning, match=r"no accuracy is measured.*four values may be a box or four scores"):
        bundle = build(boxes, tensors((5, 6)), Space(), calibrate=[arrays(tensors((5, 6)))])
    assert [entry.accuracy for entry in bundle.manifest.points] == [None, None]
    assert bundle.manifest.points[0].payload_bytes > 4 * 5 * 6


def test_progress_counts_to_the_end(built, calls):
    assert list(dict.fromkeys(what for what, _, _ in calls)) == ["capture", "export", "measure"]
    assert calls[-1] == ("measure", len(built.points), len(built.points))


def test_what_is_said_about_the_model_is_kept(built, tmp_path):
    built.save(tmp_path / "b")
    manifest = Bundle.load(tmp_path / "b").manifest
    assert (manifest.model, manifest.labels, manifest.trained) == ("tests:net", ("a", "b", "c", "d"), False)
    assert manifest.preprocessing == PREPROCESSING


def test_wilson_is_the_published_interval():
    # Newcombe, Stat. Med. 17 (1998), table I, method 3: 81 of 263 and 0 of 20.
    assert [round(end, 4) for end in wilson(81, 263)] == [0.2553, 0.3662]
    assert [round(end, 4) for end in wilson(0, 20)] == [0.0, 0.1611]


@given(st.integers(1, 500), st.data())
def test_wilson_holds_the_fraction_and_is_symmetric(samples, data):
    hits = data.draw(st.integers(0, samples))
    low, high = wilson(hits, samples)
    assert 0 <= low <= hits / samples + 1e-12
    assert hits / samples - 1e-12 <= high <= 1
    mirrored = wilson(samples - hits, samples)
    assert np.allclose(mirrored, (1 - high, 1 - low))


def test_an_output_without_a_batch_is_never_put_together_from_pieces():
    class Total(nn.Module):
        def forward(self, x):
            return x * 2, x.sum()

    bundle = build(Total().eval(), tensors((1, 4)), Space())
    assert bundle.run(OperatingPoint(INPUT), arrays(tensors((1, 4))))[1].shape == ()
    for point in bundle.points:
        with pytest.raises(BundleError, match=r"inputs: expected float32 \(1, 4\); got float32 \(3, 4\)"):
            bundle.run(point, arrays(tensors((3, 4))))


def test_a_convolution_in_three_dimensions_without_bias_runs():
    torch.manual_seed(0)
    net = nn.Conv3d(1, 2, 2, bias=False).eval()
    (clip,) = tensors((1, 1, 3, 4, 4))
    bundle = build(net, (clip,), Space())
    with torch.no_grad():
        expected = net(clip).numpy()
    assert np.allclose(bundle.run(OperatingPoint(OUTPUT), (clip.numpy(),))[0], expected, rtol=1e-5, atol=1e-6)


def test_a_bare_tensor_is_no_tuple_of_arguments():
    with pytest.raises(ModelError, match=r"args is a tuple of the model's arguments, such as \(image,\); got a Tensor"):
        build(nn.Linear(4, 2).eval(), torch.rand(1, 4), Space())
