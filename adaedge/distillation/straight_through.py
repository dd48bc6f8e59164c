"""A bottleneck's integers as something that gradients pass through.

May import: ``bottleneck``, ``payload.latent``.

Decoding sees what rounding makes of the latents, and its gradient passes the rounding as if it were not there
(straight-through: Theis et al., "Lossy image compression with compressive autoencoders", ICLR 2017). The rate is that
of latents with uniform noise in place of rounding, under a distribution of a learned width for every coefficient (Ballé
et al., "End-to-end optimized image compression", ICLR 2017); a Laplace distribution, as in the prior of the tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from adaedge.bottleneck.transform import Transform
from adaedge.payload.latent import Layout, TransformCode
from adaedge.payload.latent.coefficients import unit
from adaedge.payload.latent.tables import HIGHEST_CLASS, LOWEST_CLASS
from adaedge.payload.latent.transform import LEAST_CLASS, PLACE_BITS, ROUNDING

LEAST = 1e-9  # chance of a latent: rarer values use an escape code
SPREAD_RATE = 5.0  # the widths' learning rate, relative to the matrices'


@final
class DifferentiableBottleneck(nn.Module):
    """Encoder, quantiser and decoder of a bottleneck, with residual matrices that start at zero.

    With A and T behind the encoder's maps goes their inverse in front of the decoder's: where steps are small, the
    decoder must undo what the encoder does, and only what B and U add may differ.

    Args:
        latents: where it starts.

    Attributes:
        mix: A, (components, components).
        turns: T, (side, side) for each side of the grid along which there is a map.
        back_mix: B, (components, width), in units of the decoder's own mean magnitude.
        back_turns: U, as T.
        spread: logarithm of each coefficient's standard deviation.
    """

    offset: Tensor
    channels: Tensor
    back: Tensor
    sizes: Tensor
    centres: Tensor

    def __init__(self, latents: TransformCode) -> None:
        super().__init__()
        self._latents = latents
        self._places = [_tensor(one * 2.0**-PLACE_BITS) for one in latents.maps(latents.places)]
        self._back_places = [_tensor(one) for one in latents.maps(latents.back_places)]
        scale = latents.fraction - latents.shift + (PLACE_BITS if self._places else 0)
        nothing = np.zeros((1, *latents.spread.shape), np.float32)
        channels = latents.channels * (2.0**scale * unit(latents))
        buffers = {"offset": latents.rebuild(nothing), "channels": channels, "back": latents.decoder()}
        for name, array in (buffers | {name: getattr(latents, name) for name in ("sizes", "centres")}).items():
            self.register_buffer(name, _tensor(array), persistent=False)
        components = latents.spread.shape[1]
        self.mix = nn.Parameter(torch.zeros(components, components))
        self.turns = nn.ParameterList([torch.zeros_like(one) for one in self._places])
        self.back_mix = nn.Parameter(torch.zeros_like(self.back))
        self.back_turns = nn.ParameterList([torch.zeros_like(one) for one in self._places])
        classes = _tensor(latents.spread if self._places else latents.spread[:1]) - float(latents.fineness[-1])
        self.spread = nn.Parameter((classes / 4 + math.log2(float(latents.sizes[-1]))) * math.log(2))

    @property
    def rates(self) -> int:
        """How many rates there are."""
        return len(self.sizes)

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """The optimiser's groups of parameters."""
        matrices = [self.mix, self.back_mix, *self.turns, *self.back_turns]
        return [{"params": matrices, "lr": rate}, {"params": [self.spread], "lr": SPREAD_RATE * rate}]

    def forward(self, rows: Tensor, rates: Tensor) -> tuple[Tensor, Tensor]:
        """Rebuilt rows (N, positions, width), and bits (N,).

        Args:
            rows: (N, positions, width).
            rates: (N,), each sample's own.
        """
        channels, back = self._maps()
        steps = self.sizes[rates.to(rows.device)].view(-1, 1, 1)
        places, back_places = zip(*self._sides(), strict=True) if self._places else ((), ())
        latents = _turned((rows - self.offset) @ channels, places, self._latents.layout) / steps
        spread = self.spread.exp() / steps
        classes = (4 * spread.detach().log2()).round()  # in whole classes, or those at the edge are missed
        sent = classes >= LEAST_CLASS
        values = latents + (self._rounded(latents, classes) - latents).detach()
        rebuilt = _turned(values * sent * steps, back_places, self._latents.layout) @ back + self.offset
        return rebuilt, (_bits(latents, spread) * sent).sum((1, 2))

    def transform(self) -> Transform:
        """The maps as they are now."""
        with torch.no_grad():
            channels, back = (part.cpu().double().numpy() for part in self._maps())
            sides = [tuple(part.cpu().double().numpy() for part in pair) for pair in self._sides()]
            variances = (2 * self.spread).exp().cpu().double().numpy()
        return Transform(
            self._latents.mean * 2.0**-self._latents.fraction,
            channels,
            back,
            tuple(there for there, _ in sides),
            tuple(back for _, back in sides),
            np.broadcast_to(variances, self._latents.spread.shape),
        )

    def _maps(self) -> tuple[Tensor, Tensor]:
        """Encoder's and decoder's map of a row."""
        mix = _residual(self.mix)
        return self.channels @ mix, torch.linalg.solve(mix, self.back) + self.back_mix * self.back.abs().mean()

    def _sides(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Encoder's and decoder's map along each side."""
        kept = zip(self._places, self._back_places, self.turns, self.back_turns, strict=True)
        for there, back, turn, back_turn in kept:
            turned, undone = _residual(turn), torch.linalg.solve(_residual(turn), back.to(turn.device), left=False)
            yield turned @ there.to(turn.device), undone @ _residual(back_turn)

    def _rounded(self, latents: Tensor, classes: Tensor) -> Tensor:
        """What the decoder takes a latent for."""
        magnitude = (latents.abs() + ROUNDING).floor()
        table = classes.clamp(LOWEST_CLASS, HIGHEST_CLASS).long() - LOWEST_CLASS
        centres = torch.where(magnitude == 1, self.centres[table, 0], self.centres[table, 1])
        return latents.sign() * torch.where(magnitude > 0, magnitude + centres, 0.0)


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def _residual(matrix: Tensor) -> Tensor:
    return matrix + torch.eye(len(matrix), device=matrix.device)


def _turned(rows: Tensor, maps: Sequence[Tensor], layout: Layout) -> Tensor:
    """Rows (N, positions, components) with a matrix along each side of the grid; those before it stay."""
    before, grid = rows[:, : layout.prefix], rows[:, layout.prefix :]
    for axis, (along, side) in enumerate(zip(maps, layout.sides if maps else (), strict=True)):
        split = grid.reshape(len(grid) * math.prod(layout.sides[:axis]), side, -1)
        grid = (along @ split).reshape(grid.shape)
    return torch.cat([before, grid], 1)


def _bits(latents: Tensor, spread: Tensor) -> Tensor:
    """−log2 of the chance that a Laplace distribution falls within half a step of the latents with noise."""
    noisy = -(latents + torch.rand_like(latents) - 0.5).abs()  # the lower half keeps its digits

    def below(value: Tensor) -> Tensor:
        fall = (-value.abs() * math.sqrt(2) / spread).exp() / 2
        return torch.where(value < 0, fall, 1 - fall)

    return -(below(noisy + 0.5) - below(noisy - 0.5)).clamp_min(LEAST).log2()
