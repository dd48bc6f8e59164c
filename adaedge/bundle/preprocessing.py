"""Preprocessing: what becomes of a frame before the model sees it, as the manifest keeps it.

May import: ``errors``.
"""

from __future__ import annotations

from dataclasses import dataclass

from adaedge.errors import BundleError

INTERPOLATIONS = ("nearest", "bilinear", "bilinear-sampled", "bicubic", "lanczos")
FITS = ("crop", "stretch")


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Geometry, done where the frame is: resize the short side to ``size / crop``, then crop the centre square.

    Or stretch the frame, as detectors do, which must not miss what is at its sides.

    Attributes:
        size: (height, width) in pixels that the model takes.
        crop: fraction of the resized frame that the crop keeps.
        interpolation: one of ``INTERPOLATIONS``. ``bilinear-sampled`` is bilinear between four pixels of the frame,
            also where it shrinks (torchvision's detectors); all others look at every pixel then.
        mean: per channel, of pixels scaled to [0, 1]; applied inside the captured model.
        std: per channel; applied inside the captured model.
        frames: how many frames are one input; 1 where the model takes an image.
        stride: of a window of several, how many frames of the camera each is after the one before.
        fit: ``crop`` or ``stretch``: both sides become ``size``, whatever the frame's, and nothing is cropped.

    Raises:
        BundleError: if a size, a fraction, a count or a name is out of its range.
    """

    size: tuple[int, int] = (224, 224)
    crop: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    frames: int = 1
    stride: int = 1
    fit: str = "crop"

    def __post_init__(self) -> None:
        try:
            self._check()
        except TypeError as error:
            raise BundleError(f"geometry and normalisation are numbers: {error}") from error

    def _check(self) -> None:
        if not (isinstance(self.size, tuple) and len(self.size) == 2 and all(side >= 1 for side in self.size)):
            raise BundleError(f"size is (height, width) in pixels, each at least 1; got {self.size}")
        if not 0 < self.crop <= 1:
            raise BundleError(f"crop is the fraction of the resized frame that is kept, in (0, 1]; got {self.crop}")
        if self.interpolation not in INTERPOLATIONS:
            raise BundleError(f"interpolation is one of {', '.join(INTERPOLATIONS)}; got {self.interpolation!r}")
        if self.fit not in FITS or (self.fit == "stretch" and self.crop != 1):
            raise BundleError(
                f"fit is crop, or stretch with a crop of 1, which keeps all; got {self.fit!r} and {self.crop}"
            )
        if len(self.mean) != len(self.std) or not all(spread > 0 for spread in self.std):
            raise BundleError(f"mean and std have one value a channel, std above 0; got {self.mean} and {self.std}")
        if not all(type(count) is int and count >= 1 for count in (self.frames, self.stride)):
            raise BundleError(f"frames and stride are numbers from 1; got {self.frames!r} and {self.stride!r}")
        if self.frames == 1 and self.stride > 1:
            raise BundleError(f"stride {self.stride} is between the frames of a window; it has 1. Give `frames` too.")

    @property
    def span(self) -> int:
        """How many frames of the camera a window reaches over.

        Example:
            >>> Preprocessing(frames=16, stride=2).span
            31
        """
        return (self.frames - 1) * self.stride + 1
