"""Pictures of other formats than JPEG: what comes back, and what is refused."""

import io

import numpy as np
import pytest
from PIL import Image

from adaedge.errors import CodecError, PayloadError
from adaedge.payload import Jpeg, get_codec
from adaedge.payload.image_codecs import Avif, WebP

LIMIT = 2**24
NAMES = ["jpeg444@90", "webp@90", "avif@90"]


def photographs(count=2):
    small = np.random.default_rng(0).integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((64, 48), Image.Resampling.BICUBIC)) for one in small])


def test_names_say_what_they_are():
    assert get_codec("jpeg444@7") == Jpeg(7, "4:4:4")
    assert get_codec("webp@100") == WebP(100)
    assert get_codec("avif@50") == Avif(50)


@pytest.mark.parametrize("name", NAMES)
def test_frames_come_back_nearly(name):
    frames = photographs()
    headers, segments = get_codec(name).encode([frames], [None])[0]
    (found,) = get_codec(name).decode(headers, segments, LIMIT)[0]
    assert found.shape == frames.shape
    assert np.abs(found.astype(int) - frames).mean() < 6
    lower = get_codec(f"{name.partition('@')[0]}@20").encode([frames], [None])[0][1]
    assert len(lower[0]) < len(segments[0])


def test_colour_of_full_resolution_costs_bytes_and_keeps_edges():
    frame = np.zeros((1, 32, 32, 3), np.uint8)
    frame[:, :, 1::2] = (255, 0, 0)
    frame[:, :, ::2] = (0, 0, 255)
    errors = []
    for name in ("jpeg@95", "jpeg444@95"):
        headers, segments = get_codec(name).encode([frame], [None])[0]
        errors.append(np.abs(get_codec(name).decode(headers, segments, LIMIT)[0][0].astype(int) - frame).mean())
    assert errors[1] < errors[0] / 5


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_such_picture_is_refused(name):
    codec = get_codec(name)
    headers, (segment,) = codec.encode([photographs(1)], [None])[0]
    (other,) = codec.encode([photographs(1)[:, :, :60]], [None])[0][1]
    (lower,) = codec.encode([photographs(1)[:, :40]], [None])[0][1]
    for wrong, text in (
        (other, "48 × 60 pixels, its header says RGB of 48 × 64"),
        (lower, "40 × 64 pixels, its header says RGB of 48 × 64"),
        (segment[:-1], "bytes, fewer came"),
        (segment + b"x", "1 bytes follow"),
        ((100).to_bytes(4, "little") + segment[4:104], "does not decode"),
        (png(), "does not decode"),
    ):
        with pytest.raises(PayloadError, match=text):
            codec.decode(headers, [wrong], LIMIT)
    with pytest.raises(PayloadError, match="oversized payload: 9216 bytes"):
        codec.decode(headers, [segment], 9215)
    with pytest.raises(CodecError, match=r"carries one uint8 tensor \(N, H, W, 3\).*got float32"):
        codec.encode([np.zeros((1, 3, 8, 8), np.float32)], [1])


def png():
    file = io.BytesIO()
    Image.fromarray(photographs(1)[0]).save(file, "PNG")
    return file.tell().to_bytes(4, "little") + file.getvalue()


def test_avif_is_refused_where_pillow_has_none(monkeypatch):
    monkeypatch.setattr("adaedge.payload.image_codecs.features.check", lambda name: False)
    with pytest.raises(CodecError, match=r"no AVIF\. Install a wheel of Pillow 11\.3"):
        get_codec("avif@50")
