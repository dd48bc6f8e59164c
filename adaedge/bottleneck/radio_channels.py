"""What a radio channel does to complex symbols: noise, and fading that the receiver knows.

May import: ``errors``. For training and for comparing; symbols have a mean power of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol, final

import torch


class Received(NamedTuple):
    """Symbols behind the equaliser.

    Attributes:
        symbols: complex (N, channel_uses): what was sent, and noise.
        noise: the noise's power, of shape (N, channel_uses) or one that broadcasts to it.
    """

    symbols: torch.Tensor
    noise: torch.Tensor


class RadioChannel(Protocol):
    """Takes sent symbols and returns what a receiver has of them; draws with PyTorch's global generator."""

    def __call__(self, symbols: torch.Tensor) -> Received:
        """What is received of complex (N, channel_uses)."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Awgn:
    """White Gaussian noise.

    Attributes:
        snr_db: a symbol's mean power over the noise's, in dB.

    Example:
        >>> Awgn(snr_db=10.0)(torch.zeros(2, 5, dtype=torch.complex64)).noise
        tensor([[0.1000]])
    """

    snr_db: float

    def __call__(self, symbols: torch.Tensor) -> Received:
        """The symbols with noise."""
        noise = torch.full((1, 1), 10 ** (-self.snr_db / 10), device=symbols.device)
        return Received(symbols + noise.sqrt() * torch.randn_like(symbols), noise)


@final
@dataclass(frozen=True, slots=True)
class Rayleigh:
    """Rayleigh fading and white Gaussian noise; the receiver knows the gain, the transmitter does not.

    Attributes:
        snr_db: mean over the fading of a symbol's power over the noise's, in dB.
        block: whether one gain holds for a whole frame; otherwise each symbol has its own.
    """

    snr_db: float
    block: bool = True

    def __call__(self, symbols: torch.Tensor) -> Received:
        """The symbols behind the equaliser: noise is larger where the gain is small."""
        gain = torch.randn_like(symbols[:, :1] if self.block else symbols)
        power = gain.abs().square().clamp_min(1e-9)  # a random complex number is 0 once in a billion draws
        noise = 10 ** (-self.snr_db / 10) / power
        return Received(symbols + noise.sqrt() * torch.randn_like(symbols), noise)


@final
@dataclass(frozen=True, slots=True)
class AnySnr:
    """White Gaussian noise of an SNR that is drawn for each frame: what to train under.

    Attributes:
        lowest_db: the lowest SNR, in dB.
        highest_db: the highest; dB between the two are equally likely.
    """

    lowest_db: float = 0.0
    highest_db: float = 20.0

    def __call__(self, symbols: torch.Tensor) -> Received:
        """The symbols with noise."""
        drawn = torch.rand(len(symbols), 1, device=symbols.device)
        noise = 10 ** (-(self.lowest_db + (self.highest_db - self.lowest_db) * drawn) / 10)
        return Received(symbols + noise.sqrt() * torch.randn_like(symbols), noise)
