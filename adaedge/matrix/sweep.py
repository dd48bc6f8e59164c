"""Every cell of one network on one clip: terminals × radios × links.

May import: ``energy``, ``channel``; of this part ``cell``, ``played_clip``, ``rows``, ``scenarios``, ``terminals``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from adaedge.channel import Trace
from adaedge.energy import Radio
from adaedge.matrix.cell import Bench, Cell, Network
from adaedge.matrix.played_clip import PlayedClip
from adaedge.matrix.scenarios import Scenario3gpp
from adaedge.matrix.terminals import Terminal

FRAMES = 150


def cells(
    network: Network,
    played: PlayedClip,
    scenario: Scenario3gpp,
    terminals: Sequence[Terminal],
    radios: Mapping[str, Radio],
    links: Mapping[str, Trace],
    *,
    frames: int = FRAMES,
) -> Iterator[Cell]:
    """Each cell, the links innermost.

    Args:
        network: as measured here.
        played: a clip.
        scenario: what is asked.
        terminals: processors.
        radios: by name.
        links: by name.
        frames: of each run; the clip's second half begins anew where it has fewer.
    """
    for terminal in terminals:
        bench = Bench(network, played, terminal, scenario)
        for radio, model in radios.items():
            for link, trace in links.items():
                yield Cell(bench, radio, model, link, trace, frames)
