"""Geometry and normalisation that cannot be."""

from __future__ import annotations

import pytest

from adaedge.bundle.preprocessing import Preprocessing
from adaedge.errors import BundleError


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"size": 224}, r"size is \(height, width\)"),
        ({"crop": 0.0}, r"crop is the fraction"),
        (
            {"interpolation": "area"},
            r"interpolation is one of nearest, bilinear, bilinear-sampled, bicubic, lanczos; got 'area'",
        ),
        ({"fit": "pad"}, r"fit is crop, or stretch with a crop of 1, which keeps all; got 'pad' and 0\.875"),
        ({"fit": "stretch"}, r"fit is crop, or stretch with a crop of 1, which keeps all; got 'stretch' and 0\.875"),
        ({"std": (1.0, 0.0, 1.0)}, r"std above 0"),
        ({"frames": 0}, r"frames and stride are numbers from 1; got 0 and 1"),
        ({"frames": 4, "stride": 1.5}, r"frames and stride are numbers from 1; got 4 and 1\.5"),
        ({"stride": 2}, r"stride 2 is between the frames of a window; it has 1\. Give `frames` too"),
    ],
)
def test_geometry_that_cannot_be_is_refused_before_a_frame_comes(changed, words):
    with pytest.raises(BundleError, match=words):
        Preprocessing(**changed)


@pytest.mark.parametrize("changed", [{"crop": "big"}, {"size": ("a", "b")}, {"std": ("a", "b", "c")}])
def test_geometry_that_is_no_number_is_refused(changed):
    with pytest.raises(BundleError, match=r"geometry and normalisation are numbers"):
        Preprocessing(**changed)
