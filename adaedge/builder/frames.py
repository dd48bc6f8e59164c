"""How a model is called: with its own tensors, or with a uint8 frame, its normalisation inside.

May import: ``errors``; of ``bundle`` the manifest's ``Preprocessing``; of ``graph`` the example call.
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


class Preprocessed(nn.Module):
    """``net`` on a normalised frame.

    Args:
        net: takes float (N, 3, H, W); its parameters are shared, nothing of it is changed.
        preprocessing: mean and standard deviation of pixels scaled to [0, 1].
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.net = net
        mean, std = torch.tensor(preprocessing.mean).double(), torch.tensor(preprocessing.std).double()
        # (x / 255 - mean) / std as one multiplication and one addition: two passes over the frame instead of four.
        self.register_buffer("scale", (1 / (255 * std)).float()[:, None, None])
        self.register_buffer("shift", (-mean / std).float()[:, None, None])

    def forward(self, frame: Tensor) -> Any:
        """The model's outputs for uint8 (N, H, W, 3)."""
        return self.net(self.normalised(frame))

    def normalised(self, frame: Tensor) -> Tensor:
        """What the model itself takes, float (N, 3, H, W), of uint8 (N, H, W, 3)."""
        return frame.permute(0, 3, 1, 2).float() * self.scale + self.shift


@final
class Call:
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
        if preprocessing is not None:
            self.example = ((_frame(self.args, self.kwargs, preprocessing),), {})

    def wrap(self, net: nn.Module) -> nn.Module:
        """What is captured of the user's model."""
        return net if self._preprocessing is None else Preprocessed(net, self._preprocessing)

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
            return (Preprocessed(nn.Identity(), self._preprocessing).normalised(next(tensors)),)
        leaves, spec = pytree.tree_flatten(self.args)
        filled = [next(tensors) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        arguments: tuple[Any, ...] = pytree.tree_unflatten(filled, spec)
        return arguments


def _frame(args: Sequence[Any], kwargs: Mapping[str, Any], preprocessing: Preprocessing) -> Tensor:
    """An example frame in the place of the example image."""
    image = args[0] if args else None
    expected = (len(preprocessing.mean), *preprocessing.size)
    if len(args) != 1 or kwargs or not isinstance(image, Tensor) or tuple(image.shape[1:]) != expected:
        got = ", ".join(str(tuple(getattr(value, "shape", ()))) for value in (*args, *kwargs.values()))
        raise ModelError(
            f"preprocessing makes one image {('N', *expected)} of a frame; the example has {got}. Give one such image,"
            " or leave preprocessing out."
        )
    frame = torch.randint(256, (len(image), *preprocessing.size, 3), generator=torch.Generator().manual_seed(0))
    return frame.to(image.device, torch.uint8)
