"""Joules of a stream whose student answers while its gate is open, on several terminals and radios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from adaedge.distillation import TaughtStream
from adaedge.energy import (
    JETSON_ORIN,
    LTE_2021,
    NR_AWAKE,
    NR_DRX,
    RASPBERRY_PI_4,
    RASPBERRY_PI_5,
    EnergyMeter,
    EnergyModel,
)

LINK_BPS, EDGE_S = 10e6, 0.02
TERMINALS = {"raspberry-pi-4": RASPBERRY_PI_4, "raspberry-pi-5": RASPBERRY_PI_5, "jetson-orin": JETSON_ORIN}
RADIOS = {"lte-2021": LTE_2021, "nr-drx": NR_DRX, "nr-awake": NR_AWAKE}
HEADLINE = ("raspberry-pi-4", "lte-2021")


@dataclass(frozen=True)
class Costs:
    """What a frame takes.

    Attributes:
        macs: of the segmenter.
        student: of its time, the student's.
        encode: of its time, the video encoder's.
        video_bytes: of a frame that is sent to be answered.
        answer_bytes: of its answer.
    """

    macs: int
    student: float
    encode: float
    video_bytes: float
    answer_bytes: float


def joules(
    run: TaughtStream | None, costs: Costs, model: EnergyModel, fps: float, frames: int, *, offload: bool
) -> float:
    """Of a frame, in the mean.

    Args:
        run: whose labels and updates are charged, and whose gate says when the student answers; ``None``: no student.
        costs: of a frame.
        model: the terminal.
        fps: frames a second.
        frames: how many.
        offload: whether other frames are sent, and not answered by the segmenter at home.
    """
    full_s = costs.macs / float(model.compute.macs_per_s or 0)
    meter, total, waiting = EnergyMeter(model), 0.0, 0
    for index in range(frames):
        seen, at_s = run and run.frames[index], index / fps
        compute_s, sent, back = 0.0, 0.0, 0.0
        if seen:
            if seen.may_answer or seen.label_bytes:  # a labelled frame tests the student
                compute_s += costs.student * full_s
            if seen.label_bytes:
                compute_s, sent = compute_s + costs.encode * full_s, sent + seen.label_bytes
            waiting += seen.update_bytes
        if not (seen and seen.may_answer):
            if offload:
                compute_s, sent = compute_s + costs.encode * full_s, sent + costs.video_bytes
                back += costs.answer_bytes
            else:
                compute_s += full_s
        if sent:  # an update comes with the next answer from there
            back, waiting = back + waiting, 0
        uploads = [(at_s, at_s + 8 * sent / LINK_BPS, round(sent))] if sent else []
        awaited_s = EDGE_S if sent else 0.0
        spent = meter.frame(at_s, compute_s, uploads, awaited_s, round(back), end_s=at_s + 8 * sent / LINK_BPS)
        total += spent.total_j
    return (total + meter.close(frames / fps).total_j) / frames


def table(taught: TaughtStream, alone: TaughtStream, costs: Costs) -> list[dict[str, Any]]:
    """Joules with and without teaching, on each terminal and radio."""
    rows, frames, fps = [], len(taught.frames), taught.fps
    for terminal, compute in TERMINALS.items():
        for name, radio in RADIOS.items():
            model = EnergyModel(compute, radio)
            ways = {
                which: min(joules(run, costs, model, fps, frames, offload=offload) for offload in (False, True))
                for which, run in (("taught", taught), ("alone", alone), ("no_student", None))
            }
            without = min(ways["alone"], ways["no_student"])
            rows.append({"terminal": terminal, "radio": name, **ways, "saves": 1 - ways["taught"] / without})
    return rows


def share_open(run: TaughtStream) -> float:
    """Of the frames, how many the student answers."""
    return float(np.mean([frame.may_answer for frame in run.frames]))
