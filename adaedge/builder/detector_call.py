"""What `build` is given, where it is a detector: its heads in its place, and what is done behind them.

May import: ``errors``, ``bundle``, ``detection``, ``models``, ``graph``, ``levels``; of this part ``space``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from adaedge.builder.space import Space
from adaedge.bundle import Preprocessing
from adaedge.detection import Postprocessing
from adaedge.errors import ModelError
from adaedge.graph.capture import check_capturable
from adaedge.levels import Elastic
from adaedge.models.object_detectors import Detector, detector_of


@dataclass(frozen=True, slots=True)
class Given:
    """The arguments of `build`, a detector's heads in its place.

    Attributes:
        net: the network, or its `Elastic`; a detector's heads.
        args: an example of its positional arguments.
        space: which operating points to build; its networks are heads, too.
        kwargs: an example of its keyword arguments.
        preprocessing: geometry and normalisation of frames.
        postprocessing: what makes boxes of the outputs.
    """

    net: nn.Module
    args: Sequence[Any]
    space: Space
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    postprocessing: Postprocessing | None = None

    def split(self) -> Given:
        """The same, where it is a known detector with its heads in its place; what the user gave beside it stays.

        Raises:
            ModelError: if the example does not fit the detector, or a further network is another kind of detector.
            CaptureError: if it is a detector that no graph can hold.
        """
        inner = self.net.net if isinstance(self.net, Elastic) else self.net
        found = detector_of(inner, self.args, self.kwargs)
        if found is None:
            check_capturable(inner)
            return self
        networks = {name: self._heads(name, one, found) for name, one in self.space.networks.items()}
        return Given(
            self.net if isinstance(self.net, Elastic) else found.heads,
            found.args,
            replace(self.space, networks=networks),
            {},
            self.preprocessing or found.preprocessing,
            self.postprocessing or found.postprocessing,
        )

    def _heads(self, name: str, net: nn.Module, full: Detector) -> nn.Module:
        """A further network's heads."""
        other = detector_of(net, self.args, self.kwargs)
        if other is None:
            return net
        if other.postprocessing != full.postprocessing:
            raise ModelError(
                f"the network {name!r} writes its boxes in another way than the full one: their anchors or thresholds"
                " differ. All networks of a bundle answer in one form: build it alone, or give it the same."
            )
        return other.heads
