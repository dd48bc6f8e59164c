"""A bottleneck's payload on the wire: leading segments decode at a lower rate, nothing is ever wrong silently."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from adaedge import Bottleneck
from adaedge.errors import CodecError, PayloadError
from adaedge.operating_point import OperatingPoint
from adaedge.payload import get_codec, is_progressive, pack, unpack, wire
from adaedge.payload.fields import Reader
from adaedge.payload.latent import LatentCodec
from adaedge.payload.latent.codec import MAX_SEGMENTS, segment_words

pytestmark = pytest.mark.usefixtures("either_loops")

BUNDLE = "ab" * 32
POINT = OperatingPoint("1", codec="bottleneck@9")


@pytest.fixture(scope="module")
def fitted():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 144, 5)).eval()
    net[3].weight.data *= 20  # decided predictions, as those of a trained network: more of the features counts
    images = [nn.functional.interpolate(torch.randn(1, 3, 6, 6), (24, 24)) for _ in range(16)]
    bottleneck = Bottleneck.fit(net, (images[0],), split="1", images=images)
    return bottleneck.latents, bottleneck.head(images[3])[0].detach().numpy()


@pytest.fixture(scope="module")
def latents(fitted):
    return fitted[0]


@pytest.fixture(scope="module")
def feature(fitted):
    return fitted[1]


@pytest.fixture(scope="module")
def payload(latents, feature):
    return pack(POINT, [feature], [1], bundle=BUNDLE, sequence=9, codec=get_codec(POINT.codec, latents))


def read(latents, data):
    return unpack(data, bundle=BUNDLE, codec_of=lambda point: get_codec(point.codec, latents))


def parts(data):
    """Where the header ends, and each segment."""
    reader = Reader(memoryview(data), 2)
    ends = np.cumsum([reader.number() + reader.position, *(len(segment) for segment in wire.decode(data).segments)])
    return [int(end) for end in ends]


def test_a_whole_payload_is_the_codecs_own(latents, feature, payload):
    message, (found,) = read(latents, payload)
    assert (message.point, message.sequence, message.lost_segments) == (POINT, 9, 0)
    headers, segments = LatentCodec(latents, 9).encode([feature])[0]
    assert len(segments) > 3
    assert np.array_equal(found, LatentCodec(latents, 9).decode(headers, segments, 10**6)[0][0])
    assert not np.array_equal(found, feature)


def test_what_leading_segments_say_comes_ever_closer(latents, feature, payload):
    errors = []
    ends = parts(payload)
    for lost, end in enumerate(reversed(ends[1:])):
        message, (found,) = read(latents, payload[:end])
        assert message.lost_segments == lost
        assert len(message.segments) == len(ends) - 1 - lost
        assert found.shape == feature.shape
        errors.append(np.square(found - feature).mean())
    assert errors == sorted(errors)
    assert errors[0] < errors[-1] / 2


def test_a_damaged_segment_costs_itself_and_those_behind_it(latents, payload):
    ends = parts(payload)
    for at in range(1, len(ends) - 1):
        changed = bytearray(payload)
        changed[ends[at]] ^= 64
        message, (found,) = read(latents, bytes(changed))
        assert message.lost_segments == len(ends) - 1 - at
        assert np.array_equal(found, read(latents, payload[: ends[at]])[1][0])


def test_without_its_first_segment_it_is_refused(latents, payload):
    header, first = parts(payload)[:2]
    for length in range(0, first, 7):
        with pytest.raises(PayloadError, match=r"truncated payload|first segment is damaged or cut"):
            read(latents, payload[:length])
    changed = bytearray(payload)
    changed[header] ^= 1
    with pytest.raises(PayloadError, match="its first segment is damaged or cut, so nothing of it can be decoded"):
        read(latents, bytes(changed))
    with pytest.raises(PayloadError, match=r"oversized payload: its [0-9]+ segments should hold"):
        read(latents, payload + b"\0")


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_never_wrong_silently(fitted, payload, data):
    """Cut and changed anywhere: refused, or just what the whole segments before the damage say."""
    latents, _ = fitted
    changed = bytearray(payload[: data.draw(st.integers(0, len(payload)), label="length")])
    for _ in range(data.draw(st.integers(0, 2), label="changes") if changed else 0):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    same = next((at for at, (one, other) in enumerate(zip(changed, payload, strict=False)) if one != other), None)
    intact = min(len(changed), len(payload) if same is None else same)
    ends = parts(payload)
    whole = sum(end <= intact for end in ends) - 1
    if whole < 1:
        with pytest.raises(PayloadError):
            read(latents, bytes(changed))
        return
    message, (found,) = read(latents, bytes(changed))
    assert len(message.segments) == whole
    assert message.lost_segments == len(ends) - 1 - whole
    assert np.array_equal(found, read(latents, payload[: ends[whole]])[1][0])


def test_more_segments_than_an_answer_can_count_are_refused(latents, payload):
    message = wire.decode(payload)
    with pytest.raises(PayloadError, match="at most 255 segments"):
        read(latents, wire.encode(replace(message, segments=message.segments[:1] * 256)))


def test_forged_segments_are_refused(latents, payload):
    message = wire.decode(payload)
    for segments in (message.segments[1:], message.segments[:1] * 2, [b"abc"], [b"\xff" * 8]):
        with pytest.raises(PayloadError, match="payload"):
            read(latents, wire.encode(replace(message, segments=tuple(segments))))


def test_other_codecs_are_not_progressive(feature):
    data = pack(OperatingPoint("1", codec="u8"), [feature], [1], bundle=BUNDLE)
    with pytest.raises(PayloadError, match="truncated payload"):
        unpack(data[:-1])
    assert not any(map(is_progressive, ("raw", "u8+zstd", "jpeg@90", "bottleneck", "bottleneck@", "bottleneck@01")))
    assert all(map(is_progressive, ("bottleneck@0", "bottleneck@9", "bottleneck@10")))


def test_a_bottleneck_codec_needs_its_bottleneck(latents):
    with pytest.raises(CodecError, match=r"no codec 'bottleneck@3' here: .*--codecs bottleneck --images FOLDER"):
        get_codec("bottleneck@3")
    with pytest.raises(CodecError, match="this bottleneck's rates are 0 to 9; got 10"):
        get_codec("bottleneck@10", latents)


@pytest.mark.parametrize("total", [300, 401, 433, 470, 512, 777, 1000, 4096])
def test_who_loses_the_last_tenth_loses_one_segment(total):
    words = segment_words(total)
    assert sum(words) == total
    assert len(words) == MAX_SEGMENTS
    ends = 15 + np.cumsum([4 + 4 * count for count in words])  # a stream's header, and a checksum each
    assert (ends > ends[-1] * 9 // 10).sum() == 1
