"""Bottleneck: a network with a learned compressor at one split point.

May import: ``errors``, ``detection``; of this part all; ``graph``, ``payload.latent``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import torch
from torch import nn

from adaedge.bottleneck import storage
from adaedge.bottleneck.changes import fit_changes
from adaedge.bottleneck.detector_boxes import DetectorBoxes
from adaedge.bottleneck.fisher import called, gather
from adaedge.bottleneck.fit import fit_latents
from adaedge.bottleneck.losses import Loss, box_loss, lost, map_loss
from adaedge.bottleneck.output_kinds import known, loss_for
from adaedge.bottleneck.transform import fit_transform
from adaedge.detection import Postprocessing
from adaedge.errors import CodecError
from adaedge.graph import Splittable
from adaedge.payload.latent import LatentCodec, Layout, TransformCode, compress, decompress, predicted_bytes

_FEW_POSITIONS = 400
"""Up to so many, four draws of the loss for each image are worth their time; with more there is enough to average.
A map's loss is a sum of as many drawn labels as it has positions: four there as well."""
_MEASURED = 16
"""How many of the images measure what a rate loses."""
_FINEST, _COUNTED = 0.01, 0.03
"""What the last rate loses: in units of the loss, and of the metric where labels and boxes are counted."""


@final
class Bottleneck(nn.Module):
    """A network whose features at a split point cross the link in few bytes.

    ``bottleneck(*args)`` is the network with the bottleneck inside: head, encoder, quantiser, decoder, tail. Nothing of
    the network is changed.

    Args:
        split: the network with its split points.
        at: name of the split point.
        latents: encoder, decoder, rates and tables.

    Attributes:
        head: the network before the split point.
        tail: the network after it.
        latents: encoder, decoder, rates and tables as arrays; a bundle stores them.
        rates: 0 … n−1, in ascending bytes.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10)).eval()
        >>> images = [torch.rand(1, 3, 32, 32) for _ in range(8)]
        >>> bottleneck = Bottleneck.fit(net, (images[0],), split="1", images=images)
        >>> bottleneck.rate = 3
        >>> data = bottleneck.compress(*bottleneck.head(images[0]))
        >>> (feature,) = bottleneck.decompress(data)
        >>> feature.shape
        torch.Size([1, 8, 8, 8])
    """

    def __init__(self, split: Splittable, at: str, latents: TransformCode) -> None:
        super().__init__()
        self.head, self.tail = split.at(at)
        self.split = split.point(at).name
        self.latents = latents
        self._rate = latents.rates - 1

    @classmethod
    def fit(
        cls,
        net: nn.Module,
        example_inputs: Sequence[Any],
        *,
        split: str,
        images: Iterable[Any],
        kwargs: Mapping[str, Any] | None = None,
        rates: int = 10,
        finest: float | None = None,
        limit: int = 64,
        loss: Loss | None = None,
        postprocessing: Postprocessing | None = None,
        ridge: float = 0.03,
        seed: int = 0,
    ) -> Self:
        """Fit a bottleneck from unlabelled images, without gradient descent.

        Args:
            net: the network, or a `Splittable` of it.
            example_inputs: an example of its positional arguments.
            split: name of the split point.
            images: one batch each: a tensor, a tuple of the network's inputs, or a dictionary of its keyword arguments.
                A few dozen are enough.
            kwargs: an example of its keyword arguments.
            rates: how many rates; each takes about a third fewer bytes than the next.
            finest: loss of the last rate, measured on a few of the images: nats of the prediction, 1 − cosine where
                there are no classes, squared error relative to the variance of a dense map, 0.01 of each without it;
                of label maps 1 − intersection over union, of boxes 1 − F1, 0.03 without it. With a loss of your own it
                is what is expected, not measured.
            limit: at most so many images are read.
            loss: ``loss(output, generator)``: a random scalar whose gradient says what the output depends on; half the
                expected square of gradient · error is what is lost. Without it the kind of output chooses:
                `class_loss`, `map_loss`, `box_loss`, `dense_loss` or `direction_loss`. An argmax over classes at the
                network's end has no gradient, and is left out.
            postprocessing: what makes boxes of a detector's raw heads, where the network returns these: the boxes that
                may become answers are judged then, by `box_loss`.
            ridge: how far the metric is drawn towards one that weighs everything alike.
            seed: of the drawn losses.

        Raises:
            SplitError: if there is no such split point.
            CodecError: if what crosses there is not one grid of features, or there are no images.
        """
        cut = net if isinstance(net, Splittable) else Splittable(net, tuple(example_inputs), kwargs)
        head, tail = cut.at(split)
        scored: nn.Module = tail.before_argmax()
        if postprocessing is not None:
            scored, loss = DetectorBoxes(scored, postprocessing), loss or box_loss
        crossing = cut.point(split).crossing
        layout = Layout.of(
            [tensor.shape for tensor in crossing],
            [tensor.axis for tensor in crossing],
            [tensor.dtype for tensor in crossing],
        )
        loss = loss or loss_for(scored)
        draws = 4 if layout.positions <= _FEW_POSITIONS or loss is map_loss else 2
        sample = gather(head, scored, images, layout, loss=loss, limit=limit, draws=draws, seed=seed)
        transform = fit_transform(sample, layout, ridge=ridge, shrinkage=5.0)
        loss, measured = _measured(scored, sample.rows[:_MEASURED], layout, loss)
        counted = loss in (map_loss, box_loss)
        latents = fit_latents(
            sample,
            transform,
            layout,
            rates=rates,
            finest=finest or (_COUNTED if counted else _FINEST),
            measured=measured,
            start=_FINEST if counted else None,
        )
        return cls(cut, split, latents)

    def with_latents(self, latents: TransformCode) -> Self:
        """The same network with another encoder, decoder and tables; it shares head and tail with this one."""
        other = copy.copy(self)
        other.latents, other._rate = latents, latents.rates - 1
        return other

    def fit_changes(self, clips: Iterable[Iterable[Any]]) -> Self:
        """The same with tables of what changes from frame to frame, which the codec ``delta@`` needs.

        Args:
            clips: of each clip its frames in order, each as ``fit`` takes an image. Some dozens say enough.

        Raises:
            CodecError: if no clip has two frames.
        """
        with torch.no_grad():
            features = [[_arrays(called(self.head, frame)) for frame in clip] for clip in clips]
        return self.with_latents(fit_changes(self.latents, features))

    def save(self, path: str | Path) -> None:
        """Write split point, encoder, decoder, rates and tables to one safetensors file; nothing of the network."""
        storage.write(Path(path), self.split, self.latents)

    @classmethod
    def load(
        cls,
        path: str | Path,
        net: nn.Module,
        example_inputs: Sequence[Any] = (),
        *,
        kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Read what ``save`` wrote.

        Args:
            path: the file.
            net: the network that it was fitted for, or a `Splittable` of it.
            example_inputs: an example of its positional arguments.
            kwargs: an example of its keyword arguments.

        Raises:
            CodecError: if it is no such file, of another version, or changed.
            SplitError: if the network has no such split point.
        """
        split, latents = storage.read(Path(path))
        return cls(
            net if isinstance(net, Splittable) else Splittable(net, tuple(example_inputs), kwargs), split, latents
        )

    @property
    def rates(self) -> range:
        """0 … n−1, in ascending bytes."""
        return range(self.latents.rates)

    @property
    def rate(self) -> int:
        """The rate that is set; at first the last, which takes the most bytes."""
        return self._rate

    @rate.setter
    def rate(self, rate: int) -> None:
        if rate not in self.rates:
            raise CodecError(f"this bottleneck's rates are 0 to {self.latents.rates - 1}; got {rate}")
        self._rate = int(rate)

    @property
    def codec(self) -> LatentCodec:
        """The rate that is set, as a codec of NumPy arrays."""
        return LatentCodec(self.latents, self.rate)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The network's output with the bottleneck inside."""
        features = self.head(*args, **kwargs)
        rows = self.latents.layout.rows(_arrays(features))
        values = self.latents.quantise(self.latents.analyse(rows), self.rate)
        return self.tail(*self._tensors(self.latents.layout.tensors(self.latents.synthesise(values, self.rate))))

    def compress(self, *features: torch.Tensor) -> bytes:
        """The stream of what the head returned.

        Raises:
            CodecError: if they are not the tensors that cross here, or not finite.
        """
        return compress(self.latents, self.rate, _arrays(features))

    def decompress(self, data: bytes) -> tuple[torch.Tensor, ...]:
        """The features in a stream of any rate, as the tail takes them; at a lower rate where its end is lost.

        Raises:
            PayloadError: if it is foreign, oversized, or damaged before the end of its first segment.
        """
        return self._tensors(decompress(self.latents, data))

    def predicted_bytes(self, *features: torch.Tensor) -> float:
        """How long ``compress`` is expected to make them, from the tables alone."""
        return predicted_bytes(self.latents, self.rate, _arrays(features))

    def _tensors(self, arrays: Sequence[Any]) -> tuple[torch.Tensor, ...]:
        device = next((parameter.device for parameter in self.tail.parameters()), torch.device("cpu"))
        return tuple(torch.from_numpy(array).to(device) for array in arrays)


def _arrays(features: Sequence[torch.Tensor]) -> list[Any]:
    return [feature.detach().cpu().numpy() for feature in features]


def _measured(
    tail: nn.Module, rows: Any, layout: Layout, loss: Loss
) -> tuple[Loss, Callable[[TransformCode], float] | None]:
    """The loss that is meant, and what the last rate of a bottleneck loses on these rows, one after another."""
    device = next((parameter.device for parameter in tail.parameters()), torch.device("cpu"))
    detector = tail if isinstance(tail, DetectorBoxes) and loss is box_loss else None
    inside = tail if detector is None else detector.tail

    def answers(rows: Any) -> list[Any]:
        with torch.no_grad():
            every = [layout.tensors(row[None].astype(np.float32)) for row in rows]
            return [inside(*(torch.from_numpy(array).to(device) for array in arrays)) for arrays in every]

    wanted = answers(rows)
    loss = known(loss, wanted[0]) if detector is None else loss
    judge = partial(lost, loss=loss) if detector is None else detector.lost
    if judge(wanted, wanted) is None:
        return loss, None

    def measured(latents: TransformCode) -> float:
        last = latents.rates - 1
        found = answers(latents.synthesise(latents.quantise(latents.analyse(rows), last), last))
        return float(judge(found, wanted) or 0)

    return loss, measured
