"""Row: the result of one mode or technique in one cell.

May import: nothing of adaedge.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One mode or technique in one cell.

    Attributes:
        network: which one.
        clip: whose second half was shown.
        terminal: its processor.
        radio: by name.
        link: by name.
        mode_or_technique: one of `techniques.MODES`, a technique alone, none of them, or all together.
        energy_j: joules of a frame, modelled, the terminal's only.
        accuracy: of the answers that were given, measured on the second half; ``None`` where they were not judged.
        metric: how; or that the network counts for its cost only.
        misses: fraction of frames that were answered late.
        scenario: what was asked.
        floor: least accuracy asked for.
        chosen_to_keep_floor: whether what was chosen keeps it on the first half; ``None`` without a metric.
        keeps_floor: whether it kept it on the second; ``None`` without a metric.
        point: of a mode, the point that was picked.
        compute_j: of ``energy_j``, the processor's.
        transmit_j: waking the radio, sending and receiving.
        wait_j: waiting for the edge server.
        tail_j: the radio, left alone until it sleeps.
        bytes_per_frame: sent, probes included; measured payloads.
        computed: fraction of frames whose answer was not kept.
        predicted_j: of a mode, what the closed forecast said; ``None`` of the others.
        compute_known: how the processor's watts are known; its seconds are always modelled here.
        radio_known: how the radio's figures are known.
    """

    network: str
    clip: str
    terminal: str
    radio: str
    link: str
    mode_or_technique: str
    energy_j: float
    accuracy: float | None
    metric: str
    misses: float
    scenario: str = ""
    floor: float = 0.0
    chosen_to_keep_floor: bool | None = None
    keeps_floor: bool | None = None
    point: str = ""
    compute_j: float = 0.0
    transmit_j: float = 0.0
    wait_j: float = 0.0
    tail_j: float = 0.0
    bytes_per_frame: float = 0.0
    computed: float = 1.0
    predicted_j: float | None = None
    compute_known: str = ""
    radio_known: str = ""

    @property
    def radio_j(self) -> float:
        """The radio's part of ``energy_j``."""
        return self.transmit_j + self.wait_j + self.tail_j

    @property
    def cell(self) -> tuple[str, str, str, str, str, str]:
        """What rows of one cell share."""
        return self.network, self.clip, self.scenario, self.terminal, self.radio, self.link

    def as_dict(self) -> dict[str, Any]:
        """What a JSON document holds."""
        return asdict(self)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Row:
        """Read what ``as_dict`` made."""
        return cls(**document)
