"""An objective for an analog bottleneck: predict behind a noisy radio channel what the network predicts without one.

May import: ``bottleneck``; of this part ``losses``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor

from adaedge.bottleneck import AnalogBottleneck
from adaedge.distillation.losses import SoftTargets


@final
@dataclass(frozen=True, slots=True)
class NoisyChannelObjective:
    """Distillation through the radio channel. Head and tail stay as they are.

    A batch is what the head returned, kept from one pass over the images: (N, …), or a list of such tensors. The
    teacher is the tail on them; noise is drawn anew each time by ``analog.radio_channel``.

    Attributes:
        analog: what is trained; hand its ``trained_parameters()`` to the optimiser.
        loss: of both predictions.

    Example:
        >>> from torch import nn
        >>> from torch.utils.data import DataLoader
        >>> from adaedge.bottleneck import AnySnr, Bottleneck
        >>> from adaedge.distillation import Plan, train
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10)).eval()
        >>> images = [torch.rand(1, 3, 32, 32) for _ in range(8)]
        >>> bottleneck = Bottleneck.fit(net, (images[0],), split="1", images=images)
        >>> analog = AnalogBottleneck(bottleneck, channel_uses=100)
        >>> analog.radio_channel = AnySnr(0.0, 20.0)
        >>> with torch.no_grad():
        ...     features = [analog.head(image)[0][0] for image in images]
        >>> optimizer = torch.optim.Adam(analog.trained_parameters(), lr=1e-3)
        >>> objective = NoisyChannelObjective(analog)
        >>> rows = train(analog, DataLoader(features, batch_size=4), objective, optimizer, Plan(epochs=2))
        >>> len(rows)
        2
    """

    analog: AnalogBottleneck
    loss: Callable[[Tensor, Tensor], Tensor] = field(default_factory=SoftTargets)

    def __call__(self, batch: Tensor | list[Tensor], backward: Callable[[Tensor], Any]) -> dict[str, Tensor]:
        """Gradients of one batch."""
        features = [batch] if isinstance(batch, Tensor) else batch
        with torch.no_grad():
            wanted = self.analog.tail(*features)
        loss = self.loss(self.analog.from_features(*features), wanted)
        backward(loss)
        return {"loss": loss.detach()}
