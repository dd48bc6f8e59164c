"""Windows through video codecs: only new frames cross, both ends hold the same, and what is refused."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaedge.errors import CodecError, PayloadError
from adaedge.payload import Jpeg, TensorHeader
from adaedge.payload.image_codecs import WebP
from adaedge.payload.video import Video, available, video_codec

LIMIT = 2**24
FRAMES, SIZE = 5, (32, 48)
NAMES = [f"{one.codec}@{36 if 'av1' in one.codec else 28}" for one in available() if one.encoder and one.decoder]
GROUND = np.random.default_rng(0).integers(90, 110, (*SIZE, 3), dtype=np.uint8)


def frame(number):
    shown = GROUND.copy()
    shown[8:20, 2 * number % 36 : 2 * number % 36 + 10] = 220
    shown[0, 0] = number % 256
    return shown


def window(newest, stride=1, frames=FRAMES):
    return np.stack([frame(newest - stride * at) for at in reversed(range(frames))])[None]


def alone(codec, frames):
    """Packets and pictures of frames one by one, as a stream of their own."""
    sent = held = None
    packets, pictures = [], []
    for shown in frames:
        (headers, segments), sent = codec.encode([shown[None]], [None], sent)
        (picture,), held = codec.decode(headers, segments, LIMIT, held)
        packets.append(bytes(segments[0][8:]))
        pictures.append(picture[0])
    return packets, pictures


def new_frames(payload):
    return payload[1][0][8]


@pytest.mark.parametrize("name", NAMES)
def test_a_slide_sends_its_new_frame_as_the_continuing_stream_does(name):
    codec = video_codec(name)
    packets, pictures = alone(codec, [frame(at) for at in range(12)])
    sent = held = None
    for newest in range(FRAMES - 1, 12):
        (headers, (segment,)), sent = codec.encode([window(newest)], [None], sent)
        (shown,), held = codec.decode(headers, [segment], LIMIT, held)
        np.testing.assert_array_equal(shown, np.stack(pictures[newest - FRAMES + 1 : newest + 1])[None])
        assert headers == (TensorHeader("uint8", (1, FRAMES, *SIZE, 3)),)
        assert segment.endswith(packets[newest])
        if newest >= FRAMES:
            assert len(segment) == 8 + 5 + len(packets[newest])
    assert sent.number == held.number == 12


@pytest.mark.parametrize(("stride", "advance", "expected"), [
    (1, 1, [5, 1, 1, 1, 1, 1, 1, 1]),
    (1, 3, [5, 3, 3, 3, 3, 3, 3, 3]),
    (1, 9, [5, 5, 5, 5, 5, 5, 5, 5]),
    (2, 1, [5, 5, 1, 1, 1, 1, 1, 1]),
    (2, 2, [5, 1, 1, 1, 1, 1, 1, 1]),
    (3, 1, [5, 5, 5, 1, 1, 1, 1, 1]),
    (3, 3, [5, 1, 1, 1, 1, 1, 1, 1]),
    (1, 0, [5, 0, 0, 0, 0, 0, 0, 0]),
])  # fmt: skip
def test_no_frame_crosses_twice_whatever_the_stride_and_however_far_it_moves(stride, advance, expected):
    codec = Video(video_codec("h264@28").family, 28, stride=stride)
    sent = held = None
    found = []
    for turn in range(len(expected)):
        given_ = window(20 + turn * advance, stride)
        payload, sent = codec.encode([given_], [None], sent)
        (shown,), held = codec.decode(*payload, LIMIT, held)
        assert np.abs(shown.astype(int) - given_).mean() < 6
        found.append(new_frames(payload))
    assert found == expected


def test_frames_that_are_alike_cross_once():
    codec = video_codec("h264@28")
    (headers, (segment,)), sent = codec.encode([np.repeat(frame(0)[None, None], FRAMES, axis=1)], [None])
    assert segment[8:10].hex() == "0105"
    (shown,), held = codec.decode(headers, [segment], LIMIT)
    assert (shown == shown[:, :1]).all()
    mixed = np.stack([frame(at) for at in (0, 3, 0, 2, 3)])[None]
    payload, sent = codec.encode([mixed], [None], sent)
    assert new_frames(payload) == 2
    (shown,), held = codec.decode(*payload, LIMIT, held)
    np.testing.assert_array_equal(shown[0, 0], shown[0, 2])
    np.testing.assert_array_equal(shown[0, 1], shown[0, 4])
    assert np.abs(shown.astype(int) - mixed).mean() < 6


def test_frames_that_differ_in_one_pixel_are_two():
    codec = video_codec("h264@28")
    one, other = frame(0), frame(0)
    other[3, 3] = 255
    shown = np.stack([one, one, other])[None]
    payload, sent = codec.encode([shown], [None])
    assert new_frames(payload) == 2
    payload, _ = codec.encode([shown[:, ::-1]], [None], sent)
    assert new_frames(payload) == 0
    assert payload[1][0][9:].hex() == "03" + "010001" + "000001" + "000001"


def test_the_bytes_are_pinned():
    codec = video_codec("h264@28")
    (_, (first,)), sent = codec.encode([window(3, frames=4)], [None])
    lengths = [int.from_bytes(first[13:17], "little")]
    assert first[:4].hex() + first[8:13].hex() == "00000000" + "0401" + "000004"  # four frames, one run from place 0
    at = 17 + lengths[0]
    assert at < len(first)
    (_, (second,)), sent = codec.encode([window(4, frames=4)], [None], sent)
    assert second[:4].hex() + second[8:13].hex() == "04000000" + "0101" + "010004"  # one new, one run from place 1
    (_, (third,)), sent = codec.encode([window(6, frames=4)[:, ::-1]], [None], sent)
    assert third[:4].hex() + third[8:10].hex() == "05000000" + "0203"  # two new, and two held, backwards: three runs
    assert third[10:19].hex() == "040002" + "030001" + "020001"
    packets = first[17:at] + first[at + 4 : at + 4 + int.from_bytes(first[at : at + 4], "little")]
    at += 4 + int.from_bytes(first[at : at + 4], "little")
    length = int.from_bytes(first[at : at + 4], "little")
    packets += first[at + 4 : at + 4 + length] + first[at + 4 + length :]
    assert zlib.crc32(packets) == int.from_bytes(first[4:8], "little")
    assert zlib.crc32(packets + second[13:]) == int.from_bytes(second[4:8], "little")


def test_a_reference_is_for_windows_of_one_length_and_stride():
    codec = video_codec("h264@28")
    payload, sent = codec.encode([window(9)], [None])
    assert codec.accepts(sent, (1, FRAMES, *SIZE, 3))
    assert not codec.accepts(sent, (1, FRAMES + 1, *SIZE, 3))
    assert not codec.accepts(sent, (1, *SIZE, 3))
    assert not replace(codec, stride=2).accepts(sent, (1, FRAMES, *SIZE, 3))
    for wrong in (window(9, frames=4), frame(9)[None], window(9)[:, :, :16]):
        with pytest.raises(
            CodecError, match=r"cannot encode a frame of shape .* on the encoder of h264@28 for 32 × 48"
        ):
            codec.encode([wrong], [None], sent)
    _, held = codec.decode(*payload, LIMIT)
    with pytest.raises(PayloadError, match="stale reference"):
        codec.decode(
            [TensorHeader("uint8", (1, 4, *SIZE, 3))], codec.encode([window(9)], [None], sent)[0][1], LIMIT, held
        )


def test_a_reference_counts_the_frames_that_it_holds():
    codec = video_codec("h264@28")
    single, windowed = codec.encode([frame(0)[None]], [None]), codec.encode([window(9)], [None])
    bytes_of_a_frame = 3 * SIZE[0] * SIZE[1]
    assert windowed[1].nbytes - single[1].nbytes == FRAMES * bytes_of_a_frame
    ends = [codec.decode(*payload, LIMIT)[1] for payload, _ in (single, windowed)]
    assert ends[1].nbytes - ends[0].nbytes == FRAMES * bytes_of_a_frame
    wide = replace(codec, stride=3).encode([window(9)], [None])[1]
    assert wide.nbytes - single[1].nbytes == 3 * FRAMES * bytes_of_a_frame
    windowed[1].close()
    assert windowed[1].live.held == []


def test_what_no_window_is_does_not_fit():
    codec = video_codec("h264@28")
    assert codec.fits([("uint8", (1, 255, 32, 48, 3))])
    wrong = [(1, 256, 32, 48, 3), (2, 4, 32, 48, 3), (1, 0, 32, 48, 3), (1, 3, 4, 32, 48), (1, 4, 9000, 48, 3)]
    for dtype, shape in [("float32", (1, 4, 32, 48, 3)), *(("uint8", shape) for shape in wrong)]:
        assert not codec.fits([(dtype, shape)])
    with pytest.raises(CodecError, match=r"or a window \(1, T, H, W, 3\) of at most 255; got uint8 \(2, 4"):
        codec.encode([np.zeros((2, 4, 32, 48, 3), np.uint8)], [None])


def test_the_caller_may_write_into_what_was_given_and_what_was_decoded():
    codec = video_codec("h264@28")
    given_, expected = window(9), window(9)
    payload, sent = codec.encode([given_], [None])
    (shown,), held = codec.decode(*payload, LIMIT)
    before = shown.copy()
    given_[:], shown[:] = 0, 0
    payload, sent = codec.encode([expected], [None], sent)
    assert new_frames(payload) == 0
    np.testing.assert_array_equal(codec.decode(*payload, LIMIT, held)[0][0], before)


def damaged(segment):
    counts, runs = segment[8:10], segment[10:13]
    yield segment[:8], "truncated payload"
    yield segment[:9], "truncated payload"
    yield segment[:12], "truncated payload"
    yield segment[:15], "truncated payload"
    yield segment[:8] + bytes([0]) + segment[9:], "0 new frames, its packets are not as many"
    yield segment[:8] + bytes([6]) + segment[9:], "payload"
    yield segment[:13] + bytes(4) + segment[17:], "payload"
    yield segment[:10] + b"\1\0\5" + segment[13:], "window has 5 of 5 frames, the last of them 5 of 5"
    yield segment[:10] + b"\0\0\4" + segment[13:], "window has 4 of 5 frames"
    yield segment[:9] + b"\0" + segment[13:], "window has 0 of 5 frames"
    yield segment[:13] + b"\xff\xff\0\0" + segment[17:], "payload"
    yield segment[:-1], "is damaged"
    yield segment[:4] + b"\0\0\0\0" + counts + runs + segment[13:], "is damaged"
    yield (1).to_bytes(4, "little") + segment[4:], "it came without a reference"


def test_what_arrives_damaged_is_refused():
    codec = video_codec("h264@28")
    (headers, (segment,)), _ = codec.encode([window(9)], [None])
    for wrong, text in damaged(bytes(segment)):
        with pytest.raises(PayloadError, match=text):
            codec.decode(headers, [wrong], LIMIT)
    with pytest.raises(PayloadError, match="oversized payload"):
        codec.decode(headers, [segment], 100)


@pytest.mark.parametrize("codec", [Jpeg(90), WebP(90)])
def test_a_picture_codec_carries_a_window_as_so_many_pictures(codec):
    (headers, segments), _ = codec.encode([window(9)], [None])
    (shown,), _ = codec.decode(headers, segments, LIMIT)
    singles = [codec.encode([window(9)[:, at]], [None])[0][1][0] for at in range(FRAMES)]
    assert segments[0] == b"".join(singles)
    assert shown.shape == (1, FRAMES, *SIZE, 3)
    with pytest.raises(PayloadError, match="it should hold 6 images, it holds 5"):
        codec.decode([TensorHeader("uint8", (1, 6, *SIZE, 3))], segments, LIMIT)


STEPS = st.sampled_from(["ok", "ok", "ok", "still", "skip", "lost", "answer lost", "repeat", "restart", "crf", "back"])


class Believed:
    """What the encoder has encoded since its refresh, and so what each frame that it holds looks like."""

    def __init__(self, codec):
        self.codec, self.frames = codec, []

    def pictures(self, shown):
        looks = dict(zip((one.tobytes() for one in self.frames), alone(self.codec, self.frames)[1], strict=True))
        return np.stack([looks[one.tobytes()] for one in shown[0]])


@pytest.mark.parametrize(("family", "stride"), [("h264", 1), ("h264", 2), ("hevc", 1), ("av1", 3)])
@settings(max_examples=20, deadline=None)
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
def test_law_5a_what_is_decoded_is_what_the_encoder_believes_or_refused(family, stride, steps):
    """As of single frames; besides, the window stands, jumps, or goes back."""
    codecs = [replace(video_codec(f"{family}@{crf}"), stride=stride) for crf in (30, 40)]
    sent = held = last = believed = None
    newest = 20
    for step in steps:
        codecs = codecs[::-1] if step == "crf" else codecs
        newest += {"still": 0, "skip": 7, "back": -3}.get(step, 1)
        shown = window(newest, stride, frames=3)
        sent = sent if codecs[0].accepts(sent, shown.shape) else None
        believed = believed if sent else Believed(codecs[0])
        refreshes = sent is None
        before = {one.tobytes() for one in sent.live.held} if sent else set()
        payload, sent = codecs[0].encode([shown], [None], sent)
        believed.frames += {one.tobytes(): one for one in shown[0] if one.tobytes() not in before}.values()
        if step == "lost":
            sent = None
            continue
        if step == "repeat" and held is not None and new_frames(last):
            with pytest.raises(PayloadError, match="stale reference"):
                codecs[0].decode(*last, LIMIT, held)
            held = None
        held = None if refreshes or step == "restart" else held
        if held is None and not refreshes:
            with pytest.raises(PayloadError, match="it came without a reference"):
                codecs[0].decode(*payload, LIMIT)
            sent = None
            continue
        (found,), held = codecs[0].decode(*payload, LIMIT, held)
        last = payload
        np.testing.assert_array_equal(found[0], believed.pictures(shown))
        if step == "answer lost":
            sent = None
