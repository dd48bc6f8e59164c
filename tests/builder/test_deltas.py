"""``delta`` in a bundle: fitted on clips, stored, played, sent from a terminal to an edge server."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from adaedge import Bundle, Space, build
from adaedge.bundle import Preprocessing
from adaedge.errors import CodecError
from adaedge.payload.latent import DeltaCodec
from adaedge.stream import Playback

PREPROCESSING = Preprocessing(size=(48, 48), crop=1.0)
IMAGE = (torch.zeros(1, 3, 48, 48),)
SPACE = Space(["2"], codecs=["bottleneck", "delta"])


def clip(count, seed=0, speed=1):
    """A square that moves over a textured ground, under a little noise."""
    generator = np.random.default_rng(seed)
    ground = generator.integers(60, 120, (48, 64, 3), dtype=np.uint8)
    shown = []
    for at in range(count):
        frame = ground.copy()
        left = at * speed % 50
        frame[10:22, left : left + 12] = 230
        shown.append(np.clip(frame + generator.normal(0, 1, frame.shape), 0, 255).astype(np.uint8))
    return shown


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    net = nn.Sequential(
        *(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Conv2d(12, 12, 3, 2, 1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(12 * 144, 5)),
    ).eval()
    net[5].weight.data *= 5
    return net


@pytest.fixture(scope="module")
def bundle(net):
    return build(net, IMAGE, SPACE, calibrate=[clip(40)], preprocessing=PREPROCESSING)


def deltas(bundle):
    return [point for point in bundle.points if point.codec.startswith("delta@")]


def test_every_rate_of_a_bottleneck_is_also_a_delta(bundle):
    rates = [point.codec for point in bundle.points if point.codec.startswith("bottleneck@")]
    assert [point.codec for point in deltas(bundle)] == [name.replace("bottleneck", "delta") for name in rates]
    for point in deltas(bundle):
        assert isinstance(bundle.codec(point), DeltaCodec)
        assert bundle.codecs.is_stateful(point)


def test_what_follows_a_refresh_costs_less_and_is_measured_so(bundle):
    for entry in bundle.manifest.points:
        if entry.point in deltas(bundle):
            assert len(entry.next_bytes) == len(bundle.manifest.changes) - 1
            assert min(entry.next_bytes) < entry.payload_bytes
            assert entry.accuracy is not None


def test_a_saved_bundle_plays_the_same(bundle, tmp_path):
    bundle.save(tmp_path / "moving.bundle")
    again = Bundle.load(tmp_path / "moving.bundle")
    point = deltas(bundle)[4]
    ends = Playback(bundle, point), Playback(again, point)
    for frame in clip(8, seed=3):
        inputs = (bundle.preprocess(frame),)
        one, other = (end.encode(each.head("2").run(inputs)) for end, each in zip(ends, (bundle, again), strict=True))
        assert one == other


def test_without_a_clip_it_is_refused_with_the_way_out(net):
    for given in (None, clip(3), [clip(3)]):
        with pytest.raises(CodecError, match=r"fitted on (samples|the first half of clips)"):
            build(net, IMAGE, SPACE, calibrate=given, preprocessing=PREPROCESSING)
    with pytest.raises(CodecError, match=r"no sample is a clip of four frames or more\. Give one of some dozens"):
        build(net, IMAGE, Space(["2"], codecs=["delta"]), calibrate=clip(8), preprocessing=PREPROCESSING)


def test_a_rate_alone_cannot_be_asked_for():
    with pytest.raises(CodecError, match=r"'delta@3' is one rate; .* Write 'delta'\."):
        Space(["2"], codecs=["delta@3"])


def test_a_bottleneck_of_your_own_brings_its_tables(net):
    from adaedge import Bottleneck

    images = [torch.from_numpy(frame[:, 8:56]).permute(2, 0, 1)[None] / 255 for frame in clip(12)]
    own = Bottleneck.fit(net, IMAGE, split="2", images=images)
    with pytest.raises(CodecError, match=r"clips, frames in order, and no sample is a clip"):
        build(net, IMAGE, Space(["2"], codecs=[own, "delta"]))
    moving = own.fit_changes([images])
    built = build(net, IMAGE, Space(["2"], codecs=[moving, "delta"]))
    assert [point.codec for point in deltas(built)] == [f"delta@{rate}" for rate in own.rates]
    with pytest.raises(CodecError, match="tables of changes are fitted on frames in order, and no clip has two"):
        own.fit_changes([images[:1], images[1:2]])
