"""AnalogBottleneck: features cross a noisy link as amplitudes of symbols, and lose accuracy little by little.

May import: ``errors``, ``channel``, ``payload.latent``; of this part ``bottleneck``, ``radio_channels``. The derivation
is in ``docs/explanation/noisy-links.md``.
"""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from adaedge.bottleneck.bottleneck import Bottleneck
from adaedge.bottleneck.radio_channels import Awgn, RadioChannel
from adaedge.channel import allocate
from adaedge.errors import CodecError
from adaedge.payload.latent import Layout, coefficients, variances

HIDDEN = 96


@final
class AnalogBottleneck(nn.Module):
    """A network whose features cross as complex symbols, without bits: linear joint source–channel coding.

    The bottleneck's coefficients, unrounded, are scaled and sent two to a symbol, real and imaginary part; how much
    power each gets is what `adaedge.channel.allocate` returns. The receiver takes the best linear estimate. Where noise
    grows, all coefficients get a little worse; no rate has to fit. ``analog(*args)`` is the network with encoder,
    radio channel and decoder inside. Before any training the decoder is that linear estimate; what
    `adaedge.distillation.NoisyChannelObjective` trains is a residual behind it, and the scales.

    Args:
        bottleneck: a fitted bottleneck; its rate does not matter.
        channel_uses: complex symbols for each frame.
        snr_db: the SNR that power is allocated for, in dB; the receiver may meet any other.

    Attributes:
        head: the network before the split point.
        tail: the network after it.
        channel_uses: complex symbols for each frame.
        radio_channel: what ``forward`` sends through: `Awgn` of ``snr_db`` until another is set.

    Raises:
        CodecError: if ``channel_uses`` is below 1.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10)).eval()
        >>> images = [torch.rand(1, 3, 32, 32) for _ in range(8)]
        >>> bottleneck = Bottleneck.fit(net, (images[0],), split="1", images=images)
        >>> analog = AnalogBottleneck(bottleneck, channel_uses=100, snr_db=10.0)
        >>> symbols = analog.modulate(*analog.head(images[0]))
        >>> symbols.shape, symbols.dtype
        (torch.Size([1, 100]), torch.complex64)
        >>> received = Awgn(snr_db=5.0)(symbols)
        >>> (feature,) = analog.demodulate(received.symbols, received.noise)
        >>> feature.shape
        torch.Size([1, 8, 8, 8])
    """

    sent: Tensor
    deviations: Tensor
    scales: Tensor
    back: Tensor
    mean: Tensor
    spreads: Tensor

    def __init__(self, bottleneck: Bottleneck, *, channel_uses: int, snr_db: float = 10.0) -> None:
        super().__init__()
        latents = bottleneck.latents
        found = variances(latents)
        powers = allocate(found, channel_uses, 10 ** (snr_db / 10)).reshape(-1)
        order = np.argsort(-powers, kind="stable")[: 2 * channel_uses]
        order = order[powers[order] > 0]
        self.head, self.tail, self.latents, self.channel_uses = bottleneck.head, bottleneck.tail, latents, channel_uses
        self.radio_channel: RadioChannel = Awgn(snr_db)
        self.register_buffer("sent", torch.from_numpy(order))
        self.register_buffer("deviations", _float(np.sqrt(found.reshape(-1)[order])))
        self.register_buffer("scales", _float(np.sqrt(powers[order] / found.reshape(-1)[order])))
        self.register_buffer("back", _float(latents.decoder()))
        self.register_buffer("mean", _float(latents.rebuild(np.zeros((1, *latents.spread.shape), np.float32))))
        self.maps = nn.ParameterList(
            nn.Parameter(_float(along), requires_grad=False) for along in latents.maps(latents.back_places)
        )
        self.register_buffer("spreads", _float(np.sqrt(found.mean(axis=0))))
        self.gains = nn.Parameter(torch.zeros(len(order)))
        self.residual = _Residual(latents.layout, latents.spread.shape[1])

    def modulate(self, *features: Tensor) -> Tensor:
        """The symbols of what the head returned: complex64 (N, channel_uses), of mean power 1 over many frames.

        Raises:
            CodecError: if they are not the tensors that cross here, or not finite.
        """
        arrays = [feature.detach().cpu().numpy() for feature in features]
        return self.symbols(torch.from_numpy(coefficients(self.latents, arrays).astype(np.float32)).to(self.scales))

    def symbols(self, values: Tensor) -> Tensor:
        """The symbols of coefficients (N, positions, components)."""
        chosen = values.reshape(len(values), -1)[:, self.sent] * self._amplitudes()
        padded = nn.functional.pad(chosen, (0, 2 * self.channel_uses - chosen.shape[1]))
        return torch.view_as_complex(padded.reshape(len(padded), self.channel_uses, 2))

    def demodulate(self, symbols: Tensor, noise: Tensor | float) -> tuple[Tensor, ...]:
        """The features in received symbols, as the tail takes them.

        Args:
            symbols: complex (N, channel_uses), equalised.
            noise: power of their noise, (N, channel_uses) or what broadcasts to it: 1/SNR where their mean power is 1.

        Raises:
            CodecError: if there are not ``channel_uses`` symbols.
        """
        if symbols.dim() != 2 or symbols.shape[1] != self.channel_uses:
            raise CodecError(f"this bottleneck sends (N, {self.channel_uses}) symbols; got {tuple(symbols.shape)}")
        power = torch.as_tensor(noise, dtype=self.scales.dtype, device=self.scales.device)
        return self._features(self._estimate(symbols, power.expand(symbols.shape)), power)

    def from_features(self, *features: Tensor) -> Any:
        """The network's output for what the head returned, with the radio channel in between."""
        received = self.radio_channel(self.modulate(*features))
        return self.tail(*self.demodulate(received.symbols, received.noise))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The network's output, with encoder, radio channel and decoder inside."""
        return self.from_features(*self.head(*args, **kwargs))

    def train(self, mode: bool = True) -> AnalogBottleneck:
        """Head and tail stay in evaluation mode: only what is between them is ever trained."""
        super().train(mode)
        self.head.eval()
        self.tail.eval()
        return self

    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters between head and tail: the gains, and the decoder's residual."""
        return [self.gains, *self.residual.parameters()]

    def _amplitudes(self) -> Tensor:
        """Each coefficient's scale; however the gains move, a symbol's mean power stays 1."""
        scales = self.scales * self.gains.exp()
        power = (scales * self.deviations).square().sum()
        return scales * (self.channel_uses / power).sqrt()

    def _estimate(self, symbols: Tensor, noise: Tensor) -> Tensor:
        """The best linear estimate of the coefficients, (N, positions, components); 0 for what was not sent."""
        count = len(self.sent)
        seen = torch.view_as_real(symbols.contiguous()).reshape(len(symbols), -1)[:, :count]
        half = (noise / 2).repeat_interleave(2, dim=1)[:, :count]
        scales, variance = self._amplitudes(), self.deviations.square()
        values = seen * scales * variance / (scales.square() * variance + half)
        shape = self.latents.spread.shape
        placed = values.new_zeros(len(values), shape[0] * shape[1]).index_copy(1, self.sent, values)
        return placed.reshape(len(values), *shape)

    def _features(self, values: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        layout = self.latents.layout
        before, grid = values[:, : layout.prefix], values[:, layout.prefix :]
        for axis, along in enumerate(self.maps):
            sided = grid.reshape(len(grid) * math.prod(layout.sides[:axis]), layout.sides[axis], -1)
            grid = (along @ sided).reshape(grid.shape)
        level = noise.mean(dim=-1) if noise.dim() else noise
        grid = grid + self.spreads * self.residual(grid / self.spreads, level)
        return _tensors(layout, torch.cat([before, grid], 1) @ self.back + self.mean)


class _Residual(nn.Module):
    """What the linear estimate misses, from neighbours on the grid and from the noise; 0 before any training."""

    def __init__(self, layout: Layout, components: int) -> None:
        super().__init__()
        positions = layout.positions - layout.prefix
        self.grid = layout.sides if len(layout.sides) == 2 else (positions, 1)
        kernel = [min(3, 2 * side - 1) for side in self.grid]
        self.narrow = nn.Conv2d(components + 1, HIDDEN, 1)
        self.across = nn.Conv2d(HIDDEN, HIDDEN, (kernel[0], kernel[1]), padding="same", groups=HIDDEN)
        self.wide = nn.Conv2d(HIDDEN, components, 1, bias=False)
        nn.init.zeros_(self.wide.weight)

    def forward(self, rows: Tensor, noise: Tensor) -> Tensor:
        """The correction of rows (N, positions, components), from them and from the noise's power of each frame."""
        level = noise.log10().clamp(-4, 2).reshape(-1, 1, 1, 1).expand(len(rows), 1, *self.grid)
        planes = torch.cat([rows.transpose(1, 2).reshape(len(rows), -1, *self.grid), level], 1)
        hidden = nn.functional.gelu(self.across(nn.functional.gelu(self.narrow(planes))))
        correction: Tensor = self.wide(hidden)
        return correction.flatten(2).transpose(1, 2)


def _tensors(layout: Layout, rows: Tensor) -> tuple[Tensor, ...]:
    """`Layout.tensors` in PyTorch, so that gradients pass."""
    found = []
    for plane, part in zip(
        layout.planes, torch.split(rows, [plane.width for plane in layout.planes], dim=2), strict=True
    ):
        count, channels = len(plane.patch), plane.shape[plane.axis]
        grid = [side // size for side, size in zip(plane.sides, plane.patch, strict=True)]
        order = [
            0,
            *(at for pair in zip(range(1, 1 + count), range(1 + count, 1 + 2 * count), strict=True) for at in pair),
        ]
        cut = part.reshape(len(part), *grid, *plane.patch, channels).permute(*order, 1 + 2 * count)
        last = cut.reshape(len(part), *plane.sides, channels).movedim(-1, plane.axis + 1)
        found.append(last.to(getattr(torch, plane.dtype)).contiguous())
    return tuple(found)


def _float(array: Any) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
