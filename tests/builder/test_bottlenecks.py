"""Bottlenecks in a bundle: fitted for each split point and width, stored, refused, run like any other codec."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from torch import nn

from adaedge import Bottleneck, Bundle, Elastic, OperatingPoint, Space, build
from adaedge.builder import assembly, bottlenecks, point_choice
from adaedge.bundle import Preprocessing
from adaedge.bundle.manifest import WEIGHTS
from adaedge.errors import BundleVersionError, CodecError, IntegrityError, LevelError, PayloadError
from adaedge.operating_point import INPUT, OUTPUT, Level
from adaedge.payload.latent.storage import from_bytes, to_bytes

EXAMPLE = (torch.zeros(1, 3, 24, 24),)
SPACE = Space(["1"], (1.0, 0.5), ("fp32", "int8"), ("u4", "bottleneck"))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 12, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(12 * 36, 5)),
    ).eval()
    net[5].weight.data *= 20  # decided predictions, as those of a trained network
    return net


@pytest.fixture(scope="module")
def images():
    values = torch.Generator().manual_seed(0)
    small = torch.randn(16, 1, 3, 6, 6, generator=values)
    return [nn.functional.interpolate(image, (24, 24), mode="bicubic") for image in small]


@pytest.fixture(scope="module")
def samples(images):
    return [(image.numpy(),) for image in images]


@pytest.fixture(scope="module")
def built(net, samples):
    return build(net, EXAMPLE, SPACE, calibrate=samples)


@pytest.fixture(scope="module")
def own(net, images):
    return Bottleneck.fit(net, EXAMPLE, split="1", images=images)


def rates_at(bundle, split="1", width=1.0, precision="fp32"):
    level = (split, width, precision)
    points = [
        entry
        for entry in bundle.manifest.points
        if (entry.point.split, entry.point.width, entry.point.precision) == level
    ]
    return [entry for entry in points if entry.point.codec.startswith("bottleneck@")]


def test_every_rate_is_a_point_at_every_level_between_the_ends(built):
    for width in (1.0, 0.5):
        for precision in ("fp32", "int8"):
            found = rates_at(built, "1", width, precision)
            assert [entry.point.codec for entry in found] == [f"bottleneck@{rate}" for rate in range(10)]
            assert [entry.payload_bytes for entry in found] == sorted(entry.payload_bytes for entry in found)
            assert found[-1].payload_bytes < 0.5 * 4 * 12 * 144
            assert all(entry.accuracy.samples == 8 for entry in found)
    assert not rates_at(built, INPUT)
    assert not rates_at(built, OUTPUT)
    assert rates_at(built)[-1].accuracy.value > rates_at(built)[0].accuracy.value


def test_a_bottleneck_for_each_width_and_none_more_for_int8(built):
    paths = {(cut.split, cut.level.width, cut.level.precision): cut.bottleneck for cut in built.manifest.cuts}
    assert paths["1", 1.0, "fp32"] == paths["1", 1.0, "int8"] == "bottlenecks/0-1.safetensors"
    assert paths["1", 0.5, "fp32"] == paths["1", 0.5, "int8"] == "bottlenecks/w0.5/1-1.safetensors"
    assert {path for (split, _, _), path in paths.items() if split != "1"} == {None}
    shapes = [from_bytes(built._files[paths["1", width, "fp32"]], "")[1].layout.planes[0].shape for width in (1.0, 0.5)]
    assert shapes == [(12, 12, 12), (6, 12, 12)]


def test_names_that_look_alike_in_a_path_are_two_files(own):
    held, file = bottlenecks.Bottlenecks(), to_bytes("a:add", own.latents)
    for split, level in (("a:add", Level()), ("a_add", Level()), ("a:add", Level(width=0.5)), ("a:add", Level("s"))):
        held.add(split, level, file, lambda _: None)
    assert len(held.files) == len(set(held.paths.values())) == 4
    assert held.codecs(None, ("u4", "bottleneck")) == ("u4",)


def test_other_codecs_do_not_load_it(built):
    fresh = built.with_threads(1)
    fresh.codec(OperatingPoint("1", codec="u4"))
    assert not fresh.codecs._latents
    fresh.codec(OperatingPoint("1", precision="int8", codec="bottleneck@0"))
    assert [*fresh.codecs._latents] == ["bottlenecks/0-1.safetensors"]


def test_saved_and_loaded_it_computes_the_same_at_every_point(built, samples, tmp_path):
    built.save(tmp_path / "b")
    loaded = Bundle.load(tmp_path / "b")
    assert loaded.digest == built.digest
    for point in built.points:
        for one, other in zip(built.run(point, samples[0]), loaded.run(point, samples[0]), strict=True):
            assert np.array_equal(one, other), point


def test_a_flipped_byte_is_refused_by_name(built, tmp_path):
    built.save(tmp_path / "b")
    for path in ("bottlenecks/0-1.safetensors", "bottlenecks/w0.5/1-1.safetensors"):
        file = tmp_path / "b" / path
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        with pytest.raises(IntegrityError, match=f"{path} is corrupted: its bytes are not those that manifest.json"):
            Bundle.load(tmp_path / "b")
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    Bundle.load(tmp_path / "b")
    (tmp_path / "b" / "bottlenecks/0-1.safetensors").unlink()
    with pytest.raises(IntegrityError, match=r"bottlenecks/0-1\.safetensors cannot be read"):
        Bundle.load(tmp_path / "b")


def test_a_bundle_of_the_version_before_is_refused(built, tmp_path):
    built.save(tmp_path / "b")
    manifest = tmp_path / "b" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 11', '"version": 7'))
    with pytest.raises(BundleVersionError, match=r"version 7; this adaedge reads 'adaedge-bundle' version 11"):
        Bundle.load(tmp_path / "b")


def test_what_is_no_bottleneck_inside_is_refused_by_name(built):
    files = built._files | {"bottlenecks/0-1.safetensors": built._files[WEIGHTS]}
    forged = Bundle(built.manifest, files)
    with pytest.raises(
        IntegrityError, match=r"bottlenecks/0-1\.safetensors holds no bottleneck.*Build the bundle again"
    ):
        forged.codec(OperatingPoint("1", codec="bottleneck@0"))


def test_weights_and_graphs_are_those_of_a_bundle_without_it(net, samples):
    space = Space(["1"], codecs=["u4", "bottleneck"])
    plain = build(net, EXAMPLE, Space(["1"], codecs=["u4"]), calibrate=samples)
    both = build(net, EXAMPLE, space, calibrate=samples)
    graphs = [path for path in plain._files if path != WEIGHTS]
    assert {path: both._files[path] for path in graphs} == {path: plain._files[path] for path in graphs}
    assert set(both._files) - set(plain._files) == {"bottlenecks/0-1.safetensors", "graphs/1-1-folded.onnx"}
    tensors, more = (load(bundle._files[WEIGHTS]) for bundle in (plain, both))
    assert all(np.array_equal(array, more[name]) for name, array in tensors.items())
    assert all(name.startswith(("folded", "along")) for name in more.keys() - tensors.keys())
    assert build(net, EXAMPLE, space, calibrate=samples).digest == both.digest, "the same bytes when built again"


def test_ones_own_bottleneck_runs_as_it_does_in_torch(net, images, samples):
    elastic = Elastic(net, EXAMPLE, (1.0, 0.5))
    own = Bottleneck.fit(elastic, EXAMPLE, split="1", images=images)
    bundle = build(elastic, EXAMPLE, Space(["0", "1"], (1.0, 0.5), codecs=["raw", own]), calibrate=samples)
    assert len(rates_at(bundle)) == 10
    assert not rates_at(bundle, "0")
    assert not rates_at(bundle, "1", 0.5)
    for rate in (0, 5, 9):
        point = OperatingPoint("1", codec=f"bottleneck@{rate}")
        own.rate = rate
        for image, sample in zip(images[:4], samples, strict=False):
            with torch.no_grad():
                expected = own(image).numpy()
            assert np.allclose(bundle.run(point, sample)[0], expected, atol=1e-3 * np.abs(expected).max())
            (feature,) = own.head(image)
            payload = bundle.encode(point, (feature.detach().numpy(),))
            assert np.array_equal(bundle.decode(payload)[1][0], own.decompress(own.compress(feature))[0].numpy())


def test_ones_own_goes_before_one_that_would_be_fitted(net, own, samples):
    bundle = build(net, EXAMPLE, Space(["1", "3"], codecs=["bottleneck", own]), calibrate=samples)
    kept = {split: from_bytes(bundle._files[bundle.manifest.cut(split).bottleneck], "")[1] for split in ("1", "3")}
    assert kept["1"].fingerprint == own.latents.fingerprint
    assert kept["3"].layout.planes[0].shape == (12, 6, 6)


def test_ones_own_needs_no_samples_and_its_split_point_is_built(net, own):
    bundle = build(net, EXAMPLE, Space(splits=None, codecs=[own, "raw"]))
    assert len(rates_at(bundle)) == 10
    assert rates_at(bundle)[9].accuracy is None


def test_without_samples_there_is_a_way_out(net):
    with pytest.raises(CodecError, match=r"bottleneck is fitted on samples .* there are none.*--images FOLDER.*leave"):
        build(net, EXAMPLE, Space(["1"], codecs=["bottleneck"]))


def test_what_no_bottleneck_can_be_is_said(net, own, samples):
    with pytest.raises(CodecError, match=r"'bottleneck@3' is one rate; .* Write 'bottleneck'"):
        Space(codecs=["bottleneck@3"])
    with pytest.raises(LevelError, match="codecs is a sequence"):
        Space(codecs=own)
    with pytest.raises(CodecError, match=r"for split point '1' fits none of the split points that are built: 3\. Name"):
        build(net, EXAMPLE, Space(["3"], codecs=["raw", own]))
    with pytest.raises(CodecError, match=r"for split point '1' is of width 1, which is not built\. Add 1 to `widths`"):
        build(net, EXAMPLE, Space(["1"], (0.5,), codecs=["raw", own]))
    with pytest.raises(
        CodecError, match=r"bottleneck for '1' can carry what crosses at '1' .* at widths below 1\. Add"
    ):
        build(net, EXAMPLE, Space(["1"], (1.0, 0.5), codecs=[own]))
    wider = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 144, 5)).eval()
    with pytest.raises(
        CodecError, match=r"for '1' carries float32 \(12, 12, 12\); here cross float32 \(1, 16, 12, 12\)"
    ):
        build(wider, EXAMPLE, Space(["1"], codecs=[own]))
    with pytest.raises(CodecError, match=r"none of the codecs bottleneck can carry what crosses at '4'"):
        build(nn.Sequential(*net[:4], nn.Flatten(0), nn.Unflatten(0, (1, -1)), net[5]).eval(), EXAMPLE,
              Space(["4"], codecs=["bottleneck"]), calibrate=samples)  # fmt: skip


def test_ones_own_is_of_the_network_that_is_built(net, own, samples):
    elastic = Elastic(net, EXAMPLE, (1.0, 0.5))  # sorts the channels
    for other in (elastic, net):
        with pytest.raises(CodecError, match=r"'1' was fitted on another network: .*make it an `Elastic` first"):
            build(other, EXAMPLE, Space(["1"], (1.0, 0.5), codecs=["raw", own]), calibrate=samples)


def test_ones_own_behind_preprocessing(net, images):
    example, preprocessing = torch.rand(1, 3, 24, 24), Preprocessing((24, 24), mean=(0.2,) * 3, std=(0.5,) * 3)
    own = Bottleneck.fit(net, (example,), split="1", images=images)
    bundle = build(net, (example,), Space(["1"], codecs=[own]), preprocessing=preprocessing)
    assert len(rates_at(bundle)) == 10


def test_a_rate_that_is_not_there_is_refused(built, samples):
    features = built.head("1").run(samples[0])
    with pytest.raises(CodecError, match="this bottleneck's rates are 0 to 9; got 10"):
        built.encode(OperatingPoint("1", codec="bottleneck@10"), features)
    with pytest.raises(CodecError, match="no codec 'bottleneck@0' here"):
        built.encode(OperatingPoint(INPUT, codec="bottleneck@0"), samples[0])
    payload = built.encode(OperatingPoint("1", codec="bottleneck@1"), features)
    with pytest.raises(PayloadError):
        built.decode(payload[:50])  # not even its header is whole


def test_several_samples_run_one_by_one(built, samples):
    point = OperatingPoint("1", codec="bottleneck@9")
    three = (np.concatenate([sample[0] for sample in samples[:3]]),)
    alone = [built.run(point, sample)[0] for sample in samples[:3]]
    assert np.array_equal(built.run(point, three)[0], np.concatenate(alone))


class Undecided(nn.Module):
    """Its answer has no gradient: how many channels are large."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, 4)

    def forward(self, image):
        return (self.stem(image).relu().mean((2, 3)) > 0.1).sum(1)


def test_where_no_gradient_is_none_is_fitted(samples):
    net = Undecided().eval()
    unjudged = pytest.warns(UserWarning, match=r"no accuracy is measured, .*outputs int64 \(1,\): no rule says how")
    with (
        unjudged,
        pytest.raises(CodecError, match=r"no bottleneck can be fitted at 'stem': .*Leave the codec bottleneck or this"),
    ):
        build(net, EXAMPLE, Space(["stem"], codecs=["raw", "bottleneck"]), calibrate=samples)
    with unjudged, pytest.warns(UserWarning, match="no bottleneck can be fitted at 'stem'"):
        bundle = build(net, EXAMPLE, Space(["stem"], codecs=None), calibrate=samples)
    assert {point.codec for point in bundle.points if point.split == "stem"} == {"u8+zstd"}


class ByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 3)

    def forward(self, *, image, scale):
        return self.last(self.first(image * scale).relu().mean((2, 3)))


def test_keyword_arguments_and_several_inputs(samples):
    values = [(sample[0], np.full((1, 1), 8.0, np.float32)) for sample in samples]
    example = {"image": EXAMPLE[0], "scale": torch.ones(1, 1)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bundle = build(ByName().eval(), (), Space(["first"], codecs=["bottleneck"]), kwargs=example, calibrate=values)
    assert len(rates_at(bundle, "first")) == 10


def test_chosen_codecs_hold_one_and_what_is_never_best_leaves_no_file(net, samples, monkeypatch):
    bundle = build(net, EXAMPLE, Space(["1"], codecs=None), calibrate=samples)
    assert {point.codec for point in bundle.points} > {"u8+zstd"}
    assert 0 < len(rates_at(bundle)) <= 10
    monkeypatch.setattr(
        point_choice,
        "_better",
        lambda one, other, *_: "bottleneck" in other.point.codec and "bottleneck" not in one.point.codec,
    )
    without = build(net, EXAMPLE, Space(["1"], codecs=None), calibrate=samples)
    assert not rates_at(without)
    assert without.manifest.cut("1").bottleneck is None
    assert not any(path.startswith("bottlenecks") for path in without._files)


def test_a_build_that_goes_on_does_not_fit_again(net, samples, tmp_path, monkeypatch):
    space = Space(["1"], codecs=["bottleneck"])
    first = build(net, EXAMPLE, space, calibrate=samples, scratch=tmp_path)
    monkeypatch.setattr(bottlenecks.Bottleneck, "fit", lambda *_, **__: pytest.fail("fitted again"))
    assert build(net, EXAMPLE, space, calibrate=samples, scratch=tmp_path).digest == first.digest


def test_another_bottleneck_is_measured_anew(net, own, images, samples, tmp_path):
    other = Bottleneck.fit(net, EXAMPLE, split="1", images=images[:8], rates=10, finest=0.3)
    found = [
        build(net, EXAMPLE, Space(["1"], codecs=[one]), calibrate=samples, scratch=tmp_path) for one in (own, other)
    ]
    sizes = [[entry.payload_bytes for entry in rates_at(bundle)] for bundle in found]
    assert sizes[0] != sizes[1]


def test_ones_own_scoring_leaves_all_samples_to_the_fit(net, samples, monkeypatch):
    seen = []
    real = Bottleneck.fit.__func__

    def fit(cls, *args, images, **options):
        seen.extend(images)
        return real(cls, *args, images=images, **options)

    monkeypatch.setattr(bottlenecks.Bottleneck, "fit", classmethod(fit))
    build(net, EXAMPLE, Space(["1"], codecs=["bottleneck"]), calibrate=samples, evaluate=lambda _: 0.5)
    assert len(seen) == len(samples)


def test_it_is_fitted_on_some_samples_and_scored_on_the_others(net, samples, monkeypatch):
    seen = []
    real = Bottleneck.fit.__func__

    def fit(cls, *args, images, **options):
        seen.extend(images)
        return real(cls, *args, images=images, **options)

    monkeypatch.setattr(assembly, "MOST_SAMPLES", 4)
    monkeypatch.setattr(bottlenecks.Bottleneck, "fit", classmethod(fit))
    bundle = build(net, EXAMPLE, Space(["1"], codecs=["raw", "bottleneck"]), calibrate=samples)
    accuracies = {
        entry.point.codec: entry.accuracy.samples for entry in bundle.manifest.points if entry.point.split == "1"
    }
    assert accuracies["raw"] == 16
    assert accuracies["bottleneck@9"] == 12, "those that it was not fitted on"
    assert [int(np.argmax([np.array_equal(one[0].numpy(), sample[0]) for sample in samples])) for one in seen] == [
        *(0, 4, 8, 12)
    ]
