"""FrameRecord: what was predicted for a frame and what happened, one JSON line each.

May import: ``operating_point``, ``energy``. The terminal and the simulation write it, the report reads it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from adaedge.energy import EnergySplit
from adaedge.errors import SourceError
from adaedge.operating_point import Decision, OperatingPoint


@dataclass(frozen=True, slots=True)
class Measurement:
    """The measurement of one frame. Times are measured (or replayed); joules are modelled from them.

    Attributes:
        latency_s: seconds from the frame to its answer.
        compute_s: seconds that the terminal computed, a local finish after a failed offload included.
        upload_s: seconds that the payload was on the link.
        wait_s: seconds from the payload's arrival to the answer's.
        payload_bytes: bytes sent for this frame, probes included. An offload that timed out counts those that crossed
            where the link knows, all where it does not; one whose connection broke none.
        answer_bytes: bytes received.
        answered_by: ``edge``, ``terminal``, or ``earlier`` where the answer to an earlier frame stands: at ``kept``,
            and where nothing was sent because the latent had hardly moved.
        failure: why an offload failed, in one word (``timeout``, ``down``, ``refused``, ``overload``, ``stale``,
            ``corrupted``, or ``unsent`` where the features could not be encoded); empty where none did.
        energy: modelled joules since the previous frame ended; it holds the radio's tail between the two.
        probe_bytes: the part of ``payload_bytes`` that probes and handshakes were. A simulation leaves it 0: there, no
            frame sends a probe and its own payload.
        lost_segments: how many of a bottleneck's last segments did not reach the edge server whole: it answered from
            those before them, at a lower rate.
        kept_from: number of the frame whose answer was kept; ``None`` where it was not, and in older records.
        audit_score: of a frame whose answer could have been kept, and was computed to see whether it is right: the
            score of kept answers against computed ones, at the last few such frames; ``None`` elsewhere.
        correction: by how much a change counts more from then on, for what audits have found.
        edge_s: seconds that the edge server computed for the answer, as it reports; 0 where it did not answer, and
            in older records.
        frame_id: the frame's name on the link, which the edge server's log has too; empty where nothing was sent, in a
            simulation, and in older records.
        computed_by: at an incremental point how its head was computed, see `FrameStats`; empty elsewhere.
        macs_share: at such a point the multiply-accumulates that were spent, as a share of the whole head's.
        recomputed: of a frame that was computed in part the boxes that counted as changed, each as top, bottom, left
            and right, in shares of the picture's height and width; empty elsewhere, and in older records.
        label_bytes: sent since the frame before to be labelled, where the terminal has a `Pupil`; no part of
            ``payload_bytes``.
        update_bytes: of updates of weights that came since then, those refused included.
        weights_version: of the student that is taught, when the frame was answered; ``None`` without a pupil.
        teaching_failure: ``link`` where a label or an update did not come, ``refused`` where one was no use.
        teaching_j: the part of ``energy`` that computing, sending and receiving for all that took, the tail not
            counted.
    """

    latency_s: float
    compute_s: float
    upload_s: float = 0.0
    wait_s: float = 0.0
    payload_bytes: int = 0
    answer_bytes: int = 0
    answered_by: str = "terminal"
    failure: str = ""
    energy: EnergySplit = field(default_factory=EnergySplit)
    probe_bytes: int = 0
    lost_segments: int = 0
    kept_from: int | None = None
    audit_score: float | None = None
    correction: float = 0.0
    edge_s: float = 0.0
    computed_by: str = ""
    macs_share: float | None = None
    frame_id: str = ""
    recomputed: tuple[tuple[float, ...], ...] = ()
    label_bytes: int = 0
    update_bytes: int = 0
    weights_version: int | None = None
    teaching_failure: str = ""
    teaching_j: float = 0.0


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame: the decision, the measurement, and the answer in short.

    Attributes:
        index: number of the frame, from 0.
        time_s: when the frame arrived, from the start of the run.
        deadline_s: seconds that the answer had.
        decision: what was chosen and predicted.
        measurement: what happened.
        answer: class that was answered: the best score's, or the first of ``best@K``; ``None`` where the first output
            is neither.
        outputs: each output in short, by the names and nesting of the model: ``{"class": …, "score": …}``, or
            ``{"dtype": …, "shape": …, "crc32": …}``. ``None`` in a simulation, and in older records.
        change: how much the frame changed against the one before, in [0, 1]; ``None`` in a run, and in a simulation
            that was not told. Against what both ends held, and priced by: ``decision.change``.
    """

    index: int
    time_s: float
    deadline_s: float
    decision: Decision
    measurement: Measurement
    answer: int | None = None
    outputs: Any = None
    change: float | None = None

    @property
    def missed(self) -> bool:
        """Whether the answer came after its deadline."""
        return self.measurement.latency_s > self.deadline_s

    def plus(self, energy: EnergySplit) -> FrameRecord:
        """The record with more joules: those of the radio after the last frame, which ``Terminal.close`` tells.

        With them in its last record, the joules of a run are all of its joules.
        """
        return replace(self, measurement=replace(self.measurement, energy=self.measurement.energy + energy))

    def to_json(self) -> str:
        """The record as one line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> FrameRecord:
        """Read what ``to_json`` wrote.

        Raises:
            SourceError: if the line is not a record.
        """
        try:
            row: dict[str, Any] = json.loads(line)
            decision, measurement = row.pop("decision"), row.pop("measurement")
            decision |= {"point": OperatingPoint(**decision["point"]), "reasons": tuple(decision["reasons"])}
            measurement |= {"energy": EnergySplit(**measurement["energy"])}
            measurement |= {"recomputed": tuple(map(tuple, measurement.get("recomputed", ())))}
            return cls(**row, decision=Decision(**decision), measurement=Measurement(**measurement))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SourceError(f"this line is not the record of a frame ({error}): {line[:80]!r}") from error


def write_records(records: Iterable[FrameRecord], path: str | Path) -> None:
    """Write records to ``path``, one JSON line each."""
    with Path(path).open("w", encoding="utf-8") as file:
        file.writelines(record.to_json() + "\n" for record in records)


def read_records(path: str | Path) -> Iterator[FrameRecord]:
    """Read records from ``path``.

    Raises:
        SourceError: if the file cannot be read or a line is not a record. A last line that was cut off, as a power
            loss leaves it, is left out with a warning.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield FrameRecord.from_json(line)
                except SourceError as error:
                    if line.endswith("\n"):
                        raise SourceError(f"{path}, line {number}: {error}") from error
                    warnings.warn(f"{path}, line {number} was cut off and is left out", stacklevel=2)
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read the records {path}: {error}") from error
