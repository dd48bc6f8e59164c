from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform

from adaedge.bundle import Preprocessing
from adaedge.bundle.frames import _resized, in_frame, prepare
from adaedge.bundle.preprocessing import INTERPOLATIONS
from adaedge.errors import SourceError

LEVELS = 2  # of 255: weights are rounded, and so are the levels after either pass
SHAPES = [(360, 640), (640, 480), (123, 457), (224, 224), (256, 256), (100, 90), (37, 53), (719, 1281), (1080, 333)]
GEOMETRIES = [
    ((224, 224), 0.875),
    ((224, 224), 0.9),
    ((240, 240), 0.882),
    ((518, 518), 1.0),
    ((160, 288), 0.95),
    ((224, 224), 1.0),
]


def noise(shape):
    return np.random.default_rng(0).integers(256, size=(*shape, 3), dtype=np.uint8)


def two_steps(frame, preprocessing):
    """The whole frame resized, columns before rows, then its centre cropped."""
    height, width = _resized(frame.shape[:2], preprocessing)
    if preprocessing.interpolation == "bilinear-sampled":
        return cropped(Image.fromarray(interpolated(frame, (height, width))), preprocessing.size)
    kernel = Image.Resampling[preprocessing.interpolation.upper()]
    image = Image.fromarray(frame).resize((width, len(frame)), kernel).resize((width, height), kernel)
    return cropped(image, preprocessing.size)


def cropped(image, size):
    top, left = (round((long - crop) / 2) for long, crop in zip((image.height, image.width), size, strict=True))
    return np.asarray(image.crop((left, top, left + size[1], top + size[0])))


def interpolated(frame, size):
    """As torchvision's detectors resize, rounded to levels."""
    image = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
    return resized[0].permute(1, 2, 0).round().byte().numpy()


def difference(first, second):
    return np.abs(first.astype(int) - second.astype(int))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("size", "crop"), GEOMETRIES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_only_what_is_kept_is_resized_and_the_pixels_are_those_of_the_whole(shape, size, crop, interpolation):
    frame, preprocessing = noise(shape), Preprocessing(size=size, crop=crop, interpolation=interpolation)
    found = difference(prepare(frame, preprocessing)[0], two_steps(frame, preprocessing))
    assert found.max() <= (0 if interpolation == "nearest" else LEVELS)
    assert (found > 0).mean() < 0.06, "where a value lies between two levels"


@pytest.mark.parametrize("shape", [(480, 640), *SHAPES[:-1]])
@pytest.mark.parametrize(("size", "crop"), GEOMETRIES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
def test_the_pixels_are_those_of_timms_transform(shape, size, crop, interpolation):
    frame = noise(shape)
    transform = create_transform((3, *size), crop_pct=crop, interpolation=interpolation, normalize=False)
    expected = transform(Image.fromarray(frame)).permute(1, 2, 0).numpy()
    found = prepare(frame, Preprocessing(size=size, crop=crop, interpolation=interpolation))
    assert found.shape == (1, *size, 3)
    assert found.dtype == np.uint8
    assert difference(found[0], expected).max() <= LEVELS


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(100, 120), (81, 61), (60, 100)])
@pytest.mark.parametrize(("size", "crop"), [((64, 64), 0.875), ((48, 80), 0.9), ((37, 37), 0.7), ((224, 224), 0.95)])
def test_a_ramp_stays_where_it_is_to_a_fraction_of_a_pixel(interpolation, axis, shape, size, crop):
    slope = 240 / shape[axis]  # levels a pixel, so many that half a pixel shows
    ramp = np.expand_dims(np.arange(shape[axis]) * slope + 5, (1 - axis, 2))
    frame = np.broadcast_to(ramp, (*shape, 3))
    preprocessing = Preprocessing(size=size, crop=crop, interpolation=interpolation)
    found = prepare(np.rint(frame).astype(np.uint8), preprocessing)[0].mean((1 - axis, 2))
    resized = _resized(shape, preprocessing)[axis]
    places = np.arange(size[axis]) + round((resized - size[axis]) / 2) + 0.5
    expected = (places * shape[axis] / resized - 0.5) * slope + 5
    inside = slice(size[axis] // 5, -size[axis] // 5)  # filters are cut off at the frame's edges
    assert np.mean(found[inside] - expected[inside]) == pytest.approx(0, abs=0.2 * slope)


def test_a_frame_of_the_size_that_is_asked_is_only_cropped():
    frame = noise((256, 300))
    found = prepare(frame, Preprocessing(size=(224, 224), crop=0.875))
    assert np.array_equal(found[0], frame[16:240, 38:262])


@pytest.mark.parametrize("view", [np.s_[:, ::-1], np.s_[::2], np.s_[:, :, ::-1]], ids=str)
def test_a_view_of_a_frame_is_a_frame(view):
    frame = noise((300, 400))[view]
    assert np.array_equal(prepare(frame, Preprocessing()), prepare(frame.copy(), Preprocessing()))


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


@pytest.mark.parametrize("shape", [(37, 53), (480, 640), (96, 64)])
@pytest.mark.parametrize("size", [(64, 96), (320, 320), (480, 640)])
def test_a_frame_is_stretched_as_torchvisions_detectors_do(shape, size):
    frame, geometry = noise(shape), Preprocessing(size, 1.0, "bilinear-sampled", fit="stretch")
    image = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(image, size=size, mode="bilinear", align_corners=False)
    assert np.abs(prepare(frame, geometry)[0] - expected[0].permute(1, 2, 0).numpy()).max() <= 0.5 + 0.01
    smooth = prepare(frame, Preprocessing(size, 1.0, "bilinear", fit="stretch"))[0]
    expected = np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR))
    assert difference(smooth, expected).max() <= LEVELS


@pytest.mark.parametrize(
    "geometry",
    [
        Preprocessing((64, 64), 0.8, "nearest"),
        Preprocessing((60, 90), 1.0, "nearest"),
        Preprocessing((64, 96), 1.0, "nearest", fit="stretch"),
    ],
)
def test_a_box_in_the_models_pixels_is_where_it_was_in_the_frame(geometry):
    frame = np.zeros((240, 400, 3), np.uint8)
    top, left, bottom, right = 90, 150, 160, 260
    frame[top:bottom, left:right] = 255
    rows, columns = np.nonzero(prepare(frame, geometry)[0, ..., 0])
    inside = np.float32([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    found = in_frame(inside[None], frame.shape, geometry)[0]
    assert np.abs(found - (left, top, right, bottom)).max() <= 240 / 60, "a pixel of the model's"
