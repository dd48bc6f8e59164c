"""How a model is called: with its own tensors, or with a uint8 frame or clip, its normalisation inside.

May import: ``errors``, ``engine``; of ``bundle`` the manifest's ``Preprocessing``; of ``graph`` the example call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from adaedge.bundle import Preprocessing
from adaedge.engine import Arrays
from adaedge.errors import CodecError, ModelError

PREFIX = "net."  # of every module path of the model, seen from outside


IMAGE: tuple[int, ...] = (0, 3, 1, 2)
"""Where the axes of float (N, C, H, W) are in uint8 (N, H, W, C)."""
FRAMES_FIRST = (0, 1, 4, 2, 3)
"""Of (N, T, C, H, W), which transformers takes, in (N, T, H, W, C)."""
CHANNELS_FIRST = (0, 4, 1, 2, 3)
"""Of (N, C, T, H, W), which torchvision and pytorchvideo take, likewise."""


class Preprocessed(nn.Module):
    """``net`` on a normalised frame or clip.

    Args:
        net: takes float (N, 3, H, W), or a clip; its parameters are shared, nothing of it is changed.
        preprocessing: mean and standard deviation of pixels scaled to [0, 1].
        layout: one of the above.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, preprocessing: Preprocessing, layout: tuple[int, ...] = IMAGE) -> None:
        super().__init__()
        self.net = net
        self.layout = layout
        mean, std = torch.tensor(preprocessing.mean).double(), torch.tensor(preprocessing.std).double()
        # (x / 255 - mean) / std as one multiplication and one addition: two passes over the frame instead of four.
        beside = [-1] + [1] * (len(layout) - 1 - layout.index(len(layout) - 1))
        self.register_buffer("scale", (1 / (255 * std)).float().reshape(beside))
        self.register_buffer("shift", (-mean / std).float().reshape(beside))

    def forward(self, frame: Tensor) -> Any:
        """The model's outputs for uint8 (N, H, W, 3), or (N, T, H, W, 3)."""
        return self.net(self.normalised(frame))

    def normalised(self, frame: Tensor) -> Tensor:
        """What the model itself takes, float (N, 3, H, W), of uint8 (N, H, W, 3); of a clip in its own layout."""
        return frame.permute(self.layout).float() * self.scale + self.shift


@final
class ExampleCall:
    """How the user's model is called, and how the captured one is.

    Args:
        args: an example of the user's model's positional arguments.
        kwargs: an example of its keyword arguments.
        preprocessing: geometry and normalisation of frames; ``None`` where the input is not an image.

    Attributes:
        args: see above.
        kwargs: see above.
        example: positional and keyword arguments of the captured model.
        wrapped: whether it is the user's model inside a `Preprocessed`.
        layout: where the model has the axes of a frame or clip.

    Raises:
        ModelError: if ``preprocessing`` does not fit the example, or ``args`` is no tuple.
    """

    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any], preprocessing: Preprocessing | None) -> None:
        if not isinstance(args, tuple | list):
            raise ModelError(f"args is a tuple of the model's arguments, such as (image,); got a {type(args).__name__}")
        self.args, self.kwargs = tuple(args), dict(kwargs)
        self.wrapped = preprocessing is not None
        self.example: tuple[tuple[Any, ...], dict[str, Any]] = (self.args, self.kwargs)
        self._preprocessing = preprocessing
        self.layout = IMAGE
        if preprocessing is not None:
            self.layout = _layout(self.args, self.kwargs, preprocessing)
            self.example = ((_frame(self.args[0], preprocessing),), {})

    def wrap(self, net: nn.Module) -> nn.Module:
        """What is captured of the user's model."""
        return net if self._preprocessing is None else Preprocessed(net, self._preprocessing, self.layout)

    @property
    def tensors(self) -> list[Tensor]:
        """The captured model's example tensors, flattened."""
        return [leaf for leaf in pytree.tree_leaves(self.example) if isinstance(leaf, Tensor)]

    @property
    def inputs(self) -> Arrays:
        """The same as arrays."""
        return tuple(tensor.numpy(force=True) for tensor in self.tensors)

    def captured(self, inputs: Arrays) -> tuple[Any, ...] | dict[str, Any]:
        """The captured model's arguments that the bundle's inputs stand for: positional ones, or keyword ones.

        Raises:
            CodecError: if it takes both.
        """
        tensors = map(torch.from_numpy, inputs)
        leaves, spec = pytree.tree_flatten(self.example)
        filled = [next(tensors) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        args, kwargs = pytree.tree_unflatten(filled, spec)
        if args and kwargs:
            raise CodecError("the model takes positional and keyword arguments; give all of them in one way")
        found: tuple[Any, ...] | dict[str, Any] = kwargs or args
        return found

    def unflattened(self, inputs: Arrays) -> tuple[Any, ...]:
        """The user's model's positional arguments that the bundle's inputs stand for."""
        tensors = map(torch.from_numpy, inputs)
        if self._preprocessing is not None:
            return (Preprocessed(nn.Identity(), self._preprocessing, self.layout).normalised(next(tensors)),)
        leaves, spec = pytree.tree_flatten(self.args)
        filled = [next(tensors) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        arguments: tuple[Any, ...] = pytree.tree_unflatten(filled, spec)
        return arguments


def _layout(args: Sequence[Any], kwargs: Mapping[str, Any], preprocessing: Preprocessing) -> tuple[int, ...]:
    """Which of the layouts the example has."""
    channels, frames, size = len(preprocessing.mean), preprocessing.frames, preprocessing.size
    expected: dict[tuple[int, ...], tuple[int, ...]] = {IMAGE: (channels, *size)}
    if frames > 1:
        expected = {FRAMES_FIRST: (frames, channels, *size), CHANNELS_FIRST: (channels, frames, *size)}
    given = tuple(args[0].shape[1:]) if len(args) == 1 and not kwargs and isinstance(args[0], Tensor) else None
    fitting = [layout for layout, shape in expected.items() if shape == given]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ModelError(
            f"an example {tuple(args[0].shape)} of {frames} frames with {channels} channels does not say which are"
            " which. Wrap the model in one that takes another number of frames, or leave preprocessing out."
        )
    got = ", ".join(str(tuple(getattr(value, "shape", ()))) for value in (*args, *kwargs.values()))
    what = "image" if frames == 1 else "clip"
    raise ModelError(
        f"preprocessing makes one {what} {' or '.join(str(('N', *shape)) for shape in expected.values())} of"
        f" {'a frame' if frames == 1 else f'{frames} frames'}; the example has {got}. Give one such {what},"
        " say how many `frames` it has, or leave preprocessing out."
    )


def _frame(image: Tensor, preprocessing: Preprocessing) -> Tensor:
    """An example frame or clip in the place of the example."""
    frames = () if preprocessing.frames == 1 else (preprocessing.frames,)
    shape = (len(image), *frames, *preprocessing.size, 3)
    frame = torch.randint(256, shape, generator=torch.Generator().manual_seed(0))
    return frame.to(image.device, torch.uint8)
