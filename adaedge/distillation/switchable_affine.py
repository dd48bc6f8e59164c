"""A scale and a shift of a level's own for every channel of every batch-norm, kept in the level's statistics.

May import: ``levels``; of this part ``batch_norms``.

A batch-norm computes γ · (x − μ) / σ + β. γ and β belong to all levels, μ and σ to one; in evaluation mode μ and σ are
a shift and a scale of every channel, free to be something else than mean and deviation. So a level can have a γ and a β
of its own, as slimmable networks do (Yu et al., "Slimmable neural networks", ICLR 2019, section 3.2), without a tensor
more than its statistics. The scale is learnt as a logarithm: divided out of σ, it may not be 0 or change its sign.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrize import is_parametrized

from adaedge.distillation.batch_norms import Norms, norms_of, set_statistics, statistics
from adaedge.levels import Elastic
from adaedge.levels.batch_norm import recalibrate


@final
class SwitchableAffine(nn.Module):
    """A level with γ · exp(scale) for γ, and β − γ · exp(scale) · shift for β.

    Args:
        elastic: the levels.
        width: which one.
        frozen: whether no gradient reaches what is shared.

    Raises:
        LevelError: if the level has no batch-norm.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4))
        >>> elastic = Elastic(net, (torch.rand(1, 3, 8, 8),), widths=(1.0, 0.5)).eval()
        >>> own = SwitchableAffine(elastic, 0.5)
        >>> _ = nn.init.normal_(own.scales[0])
        >>> image = torch.rand(1, 3, 8, 8)
        >>> wanted = own(image)
        >>> own.fold()
        >>> torch.allclose(elastic.level(0.5)(image), wanted, atol=1e-5)
        True
    """

    def __init__(self, elastic: Elastic, width: float, *, frozen: bool = False) -> None:
        super().__init__()
        # In a tuple: shared parameters are not this module's. A move to a device makes levels anew, so none is kept.
        self._elastic, self._width, self._frozen = (elastic,), width, frozen
        zeros = [torch.zeros_like(norm.weight) for norm in self.norms.values()]
        self.scales = nn.ParameterList(zeros)
        self.shifts = nn.ParameterList([zero.clone() for zero in zeros])

    @property
    def norms(self) -> Norms:
        """Name → batch-norm of the level."""
        return norms_of(self._elastic[0], self._width)

    def forward(self, images: Tensor) -> Any:
        """The level with scales and shifts of its own: what it computes once they are folded."""
        level = self._elastic[0].level(self._width)
        changed = {name: shared.detach() for name, shared in level.named_parameters()} if self._frozen else {}
        for (name, norm), scale, shift in zip(self.norms.items(), self.scales, self.shifts, strict=True):
            weight, bias = (part.detach() if self._frozen else part for part in (norm.weight, norm.bias))
            weight = weight * scale.exp()
            for attribute, value in (("weight", weight), ("bias", bias - weight * shift)):
                changed |= _in_place_of(norm, name, attribute, value)
        return functional_call(level, changed, (images,))

    def recalibrate(self, batches: Iterable[Any]) -> None:
        """Replace the level's means and variances by those over these batches; to be done before folding."""
        recalibrate(self._elastic[0].level(self._width), batches, run=self)

    def fold(self) -> None:
        """Write scales and shifts into the statistics, μ + shift · σ and σ / exp(scale), and start at 0 again."""
        with torch.no_grad():
            for norm, scale, shift in zip(self.norms.values(), self.scales, self.shifts, strict=True):
                mean, deviation = statistics(norm)
                set_statistics(norm, mean + shift * deviation, deviation / scale.exp())
                scale.zero_()
                shift.zero_()


def _in_place_of(norm: nn.Module, path: str, attribute: str, value: Tensor) -> dict[str, Tensor]:
    """What to call the level with so that this attribute has this value, also where it is gathered from a full one."""
    if not is_parametrized(norm, attribute):
        return {f"{path}.{attribute}": value}
    parametrization: Any = norm.get_submodule(f"parametrizations.{attribute}")
    (gather,), full = parametrization, parametrization.original
    return {f"{path}.parametrizations.{attribute}.original": gather.placed(full.detach(), value)}
