from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from timm.data import create_transform

from adaedge.bundle import Preprocessing
from adaedge.bundle.frames import prepare
from adaedge.errors import SourceError


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (123, 457), (224, 224), (256, 256), (100, 90), (1080, 333)])
@pytest.mark.parametrize(
    ("size", "crop", "interpolation"),
    [
        ((224, 224), 0.875, "bicubic"),
        ((224, 224), 0.9, "bilinear"),
        ((240, 240), 0.882, "bicubic"),
        ((518, 518), 1.0, "bicubic"),
        ((160, 288), 0.95, "bilinear"),
    ],
)
def test_the_pixels_are_those_of_timms_transform(shape, size, crop, interpolation):
    frame = np.random.default_rng(0).integers(256, size=(*shape, 3), dtype=np.uint8)
    transform = create_transform((3, *size), crop_pct=crop, interpolation=interpolation, normalize=False)
    expected = transform(Image.fromarray(frame)).permute(1, 2, 0).numpy()
    found = prepare(frame, Preprocessing(size=size, crop=crop, interpolation=interpolation))
    assert found.shape == (1, *size, 3)
    assert found.dtype == np.uint8
    assert np.array_equal(found[0], expected)


def test_the_frame_is_left_as_it_is_and_the_result_is_the_callers_own():
    frame = np.random.default_rng(0).integers(256, size=(32, 32, 3), dtype=np.uint8)
    before = frame.copy()
    found = prepare(frame, Preprocessing(size=(32, 32), crop=1.0))
    found[:] = 0
    assert np.array_equal(frame, before)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
    ],
)
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(SourceError, match=r"a frame is uint8 \(height, width, 3\); got"):
        prepare(frame, Preprocessing())
