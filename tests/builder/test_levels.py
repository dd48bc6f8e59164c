"""Bundles of several widths and precisions: models × split points × levels."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import timm
import torch
from torch import nn

from adaedge.builder import Space, build
from adaedge.bundle import Bundle, Preprocessing, weights
from adaedge.errors import BundleVersionError, IntegrityError, LevelError
from adaedge.levels import Elastic
from adaedge.operating_point import INPUT, OUTPUT, Level, OperatingPoint

PREPROCESSING = Preprocessing(size=(16, 16))
WIDTHS = (1.0, 0.5, 0.25)
IMAGE = (torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)),)


class Block(nn.Module):
    def __init__(self, channels, inside):
        super().__init__()
        self.first = nn.Conv2d(channels, inside, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(inside)
        self.second = nn.Conv2d(inside, channels, 1)

    def forward(self, x):
        return x + self.second(self.norm(self.first(x)).relu())


class Residual(nn.Module):
    """Batch-norm, a residual branch, and a flattened feature map, of which a narrower level keeps several runs."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 48, 4, stride=4), nn.BatchNorm2d(48), nn.ReLU())
        self.block = Block(48, 64)
        self.head = nn.Linear(48 * 16, 10)

    def forward(self, image):
        return self.head(self.block(self.stem(image)).flatten(1))


class Branches(nn.Module):
    """A concatenation, of which a prefix of each half is no prefix of the whole; tied weights; no batch-norm."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 40, 4, stride=4)
        self.left = nn.Conv2d(40, 40, 1)
        self.right = nn.Conv2d(40, 56, 1)
        self.join = nn.Conv2d(96, 32, 1)
        self.head = nn.Linear(32, 10)

    def forward(self, image):
        stem = self.stem(image).relu()
        joined = torch.cat([self.left(stem), self.right(stem)], 1).relu()
        return self.head(self.join(joined).mean((2, 3)))


NETS = {Residual: ("stem", "block"), Branches: ("stem", "join")}


@pytest.fixture(scope="module")
def frames():
    values = np.random.default_rng(0)
    colours = values.integers(256, size=(24, 1, 1, 3))
    noise = values.integers(-60, 60, size=(24, 20, 20, 3))
    return list(np.clip(colours + noise, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module", params=NETS, ids=lambda kind: kind.__name__)
def made(request, frames):
    torch.manual_seed(0)
    net = request.param().eval()
    space = Space(NETS[request.param], WIDTHS, ("fp32", "int8"), ("raw", "u4"))
    return net, build(net, IMAGE, space, calibrate=frames, preprocessing=PREPROCESSING)


def own_bytes(net):
    return sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())


def test_every_split_point_has_every_level_and_the_input_one(made):
    net, bundle = made
    levels = [(width, precision) for width in WIDTHS for precision in ("fp32", "int8")]
    expected = [(INPUT, 1.0, "fp32", "raw")]
    for split in NETS[type(net)]:
        expected += [(split, *level, codec) for level in levels for codec in ("raw", "u4")]
    expected += [(OUTPUT, *level, "raw") for level in levels]
    assert [(one.split, one.width, one.precision, one.codec) for one in bundle.points] == expected


def test_fp32_graphs_compute_what_the_width_computes(made, frames):
    net, bundle = made
    elastic = Elastic(net, IMAGE, WIDTHS)
    values = [torch.from_numpy(np.concatenate([bundle.preprocess(frame) for frame in frames]))]
    mean, std = torch.tensor(PREPROCESSING.mean), torch.tensor(PREPROCESSING.std)
    images = [((value.float() / 255 - mean) / std).permute(0, 3, 1, 2) for value in values]
    elastic.recalibrate(images)
    for width in WIDTHS:
        elastic.width = width
        with torch.no_grad():
            expected = elastic(images[0]).numpy()
        for split in (*NETS[type(net)], OUTPUT):
            (found,) = bundle.run(OperatingPoint(split, width), [values[0].numpy()])
            assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max(), (split, width)


def test_int8_heads_are_near_fp32_and_their_tail_is_the_fp32_tail(made, frames):
    net, bundle = made
    inputs = (bundle.preprocess(frames[0]),)
    for width in WIDTHS:
        for split in NETS[type(net)]:
            fp32, int8 = (
                bundle.manifest.cut(split, Level(width=width, precision=precision)) for precision in ("fp32", "int8")
            )
            assert int8.tail == fp32.tail
            assert int8.head.graph != fp32.head.graph
            one, other = (
                bundle.head(split, Level(width=width, precision=precision)).run(inputs)
                for precision in ("fp32", "int8")
            )
            assert (one[0].shape, one[0].dtype) == (other[0].shape, other[0].dtype)
            assert not np.array_equal(one[0], other[0]), "else it is fp32"
            # What crosses may differ where the next operator does not look: a ReLU, below zero.
            expected, found = (bundle.tail(split, Level(width=width)).run(features)[0] for features in (one, other))
            cosine = (expected * found).sum() / np.linalg.norm(expected) / np.linalg.norm(found)
            assert cosine > 0.99, (split, width)
        assert (
            b"DequantizeLinear"
            in bundle._files[bundle.manifest.cut(OUTPUT, Level(width=width, precision="int8")).head.graph]
        )


def test_save_load_gives_the_same_outputs_at_every_point(made, frames, tmp_path):
    _, bundle = made
    bundle.save(tmp_path / "b")
    loaded = Bundle.load(tmp_path / "b")
    assert loaded.manifest == bundle.manifest
    inputs = (bundle.preprocess(frames[1]),)
    for point in bundle.points:
        assert np.array_equal(loaded.run(point, inputs)[0], bundle.run(point, inputs)[0]), point


def test_a_flipped_byte_in_any_file_is_refused_by_the_name_of_the_file(made, tmp_path):
    _, bundle = made
    bundle.save(tmp_path / "b")
    values = np.random.default_rng(0)
    for path in sorted(path for path in (tmp_path / "b").rglob("*") if path.is_file()):
        data = bytearray(path.read_bytes())
        at = int(values.integers(len(data)))
        data[at] ^= 1 << int(values.integers(7))
        good = path.read_bytes()
        path.write_bytes(data)
        with pytest.raises((IntegrityError, BundleVersionError), match=path.name):
            Bundle.load(tmp_path / "b")
        path.write_bytes(good)


def test_fp32_widths_add_only_their_statistics(made):
    net, bundle = made
    stored = weights.views(bundle._files["weights.safetensors"])
    fp32 = {name: array for name, array in stored.items() if "int8" not in name}
    assert all("running" in name for name in fp32 if "@" in name), "everything else is a slice"
    statistics = sum(array.nbytes for name, array in fp32.items() if "running" in name)
    shared = sum(array.nbytes for array in fp32.values()) - statistics
    assert shared <= own_bytes(net)
    kept = {name: which.kept for name, which in bundle.manifest.slices.items()}
    runs = {len(bounds) for which in kept.values() for bounds in which}
    assert {0, 2, 4} <= runs if type(net) is Branches else {0, 2} <= runs


def test_no_graph_holds_a_weight(made):
    _, bundle = made
    stored = weights.views(bundle._files["weights.safetensors"])
    large = [array.tobytes() for array in stored.values() if array.nbytes >= 4096]
    for path, data in bundle._files.items():
        if path.endswith(".onnx"):
            assert len(data) < 100_000
            assert not any(content in data for content in large)
            assert b"pkg.torch" not in data


def test_sliced_weights_are_shared_by_head_and_tail_and_views_where_they_can_be(made):
    net, bundle = made
    fresh = bundle.with_threads(1)
    for split in (*NETS[type(net)], OUTPUT):
        fresh.head(split, Level(width=0.5)), fresh.tail(split, Level(width=0.5))
    parts = fresh._engines._parts
    assert any(np.shares_memory(parts[name], fresh._engines._stored[which.tensor])
               for name, which in bundle.manifest.slices.items() if name in parts)  # fmt: skip
    engines = fresh._engines._engines.values()
    assert sum(len(engine.weights) for engine in engines) > len(parts), "some of them in two sessions"


def test_a_narrow_bundle_is_loaded_and_run_without_torch(made, frames, tmp_path):
    _, bundle = made
    bundle.save(tmp_path / "b")
    np.save(tmp_path / "frame.npy", bundle.preprocess(frames[0]))
    program = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxscript', 'onnx_ir'): sys.modules[name] = None\n"
        "import numpy as np\n"
        "from adaedge import Bundle\n"
        f"bundle = Bundle.load({str(tmp_path / 'b')!r})\n"
        f"frame = np.load({str(tmp_path / 'frame.npy')!r})\n"
        "print([bundle.run(point, (frame,))[0].argmax() for point in bundle.points])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = [bundle.run(point, (np.load(tmp_path / "frame.npy"),))[0].argmax() for point in bundle.points]
    assert done.stdout.strip() == str(expected)


def test_a_plain_network_keeps_channels_in_the_multiple_that_is_asked_for():
    net = nn.Sequential(nn.Conv2d(3, 40, 3), nn.ReLU(), nn.Conv2d(40, 4, 3)).eval()
    image = torch.rand(1, 3, 8, 8)
    space = Space(splits=["1"], widths=(0.5,), multiple=16)
    (crossing,) = [cut.payload_bytes for cut in build(net, (image,), space).manifest.cuts if cut.split == "1"]
    assert crossing == 4 * 16 * 6 * 6
    with pytest.raises(LevelError, match="keeps channels in multiples of its own"):
        build(Elastic(net, (image,), (0.5,)), (image,), space)


def test_four_widths_take_the_room_of_one():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 256, 3), nn.BatchNorm2d(256))
    net = nn.Sequential(*net, nn.ReLU(), nn.Conv2d(256, 128, 3), nn.Flatten(), nn.Linear(128 * 100, 10)).eval()
    bundle = build(net, IMAGE, Space(["2", "5"], (1, 0.75, 0.5, 0.25)))
    length = sum(map(len, bundle._files.values())) + len(bundle.manifest.to_bytes())
    graphs = len(bundle._files) - 1
    assert length <= 1.10 * own_bytes(net) + 100_000 * graphs
    assert len(bundle._files["weights.safetensors"]) <= 1.02 * own_bytes(net)


def test_a_trained_elastic_is_built_as_it_is():
    torch.manual_seed(0)
    net = Residual().eval()
    elastic = Elastic(net, IMAGE, (1.0, 0.5)).train()
    with torch.no_grad():
        for name, buffer in elastic.level(0.5).named_buffers():
            if name.endswith("running_mean"):
                buffer += 0.1
    before = {name: tensor.clone() for name, tensor in elastic.state_dict().items()}
    bundle = build(elastic, IMAGE, Space(["stem"], (0.5,)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in elastic.state_dict().items())
    assert elastic.training
    assert [str(point) for point in bundle.points] == [
        "input/w1/fp32/raw",
        "stem/w0.5/fp32/raw",
        "output/w1/fp32/raw",
        "output/w0.5/fp32/raw",
    ]
    with torch.no_grad():
        expected = elastic.extract(0.5).eval()(*IMAGE).numpy()
    (found,) = bundle.run(OperatingPoint("stem", 0.5), [IMAGE[0].numpy()])
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(LevelError, match=r"no width 0\.75; this network has 1, 0\.5"):
        build(elastic, IMAGE, Space(widths=(0.75,)))


def test_a_network_in_training_stays_so(frames):
    net = Residual().train()
    build(net, IMAGE, Space(widths=(1, 0.5)), calibrate=frames[:2], preprocessing=PREPROCESSING)
    assert all(module.training for module in net.modules())


def test_int8_needs_samples():
    with pytest.raises(LevelError, match=r"int8 is calibrated on samples .* there are none\. Give about 300"):
        build(nn.Linear(4, 4).eval(), (torch.rand(1, 4),), Space(precisions=("int8",)))


def test_what_cannot_be_narrower_says_so():
    with pytest.raises(LevelError, match="no channel group"):
        build(nn.Linear(4, 4).eval(), (torch.rand(1, 4),), Space(widths=(0.5,)))


def test_int8_alone_keeps_the_fp32_ends_and_tails(frames):
    torch.manual_seed(0)
    space = Space(["stem"], (1.0,), ("int8",))
    bundle = build(Residual().eval(), IMAGE, space, calibrate=frames[:4], preprocessing=PREPROCESSING)
    assert [str(point) for point in bundle.points] == [
        "input/w1/fp32/raw",
        "stem/w1/int8/raw",
        "output/w1/fp32/raw",
        "output/w1/int8/raw",
    ]
    assert "graphs/1-stem-tail.onnx" in bundle._files
    assert "graphs/1-stem-head.onnx" not in bundle._files, "nothing needs it"


def test_attention_in_a_wrapped_model_is_stored_once():
    """Its products have transposed weights, of whose heads a narrower level keeps several runs."""
    net = timm.create_model("vit_tiny_patch16_224", img_size=32, patch_size=16, depth=2).eval()
    space = Space(splits=["blocks.0"], widths=(1.0, 0.5), codecs=("raw",))
    bundle = build(net, (torch.rand(1, 3, 32, 32),), space, preprocessing=Preprocessing(size=(32, 32)))
    stored = weights.views(bundle._files["weights.safetensors"])
    assert not [name for name in stored if "@" in name]
    assert any(
        len(which.kept[-1]) > 2
        for name, which in bundle.manifest.slices.items()
        if name.startswith("blocks.0.attn.qkv.weight.T")
    )
