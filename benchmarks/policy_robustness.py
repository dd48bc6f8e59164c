"""What do policies take where something is believed wrongly, and do they keep what they promise?

Two modelled cases on every link that nothing was tuned on (`no_harm.TUNED_ON` names the others), each with the radio
that it is used with. Joules are modelled, and the same seed gives the same figures. Five questions:

- **profile**: seconds of computing or bytes of payloads are believed to be 30 % less or more than they are. Joules of
  frames 200 to 600, pooled over the links, above those of the default policy with the right profile. Bar 2 %.
- **stale**: what uploads took is learned 5 or 30 s late. The same.
- **radio**: another radio's preset is believed. The same.
- **battery**: an hour; joules for it lie between what the least accurate points take and what the most accurate do.
  Bar: spent within 1 %. And an accuracy on average: kept to 0.001.
- **best**: `BestOf` above the best of its members, in each window of 600 frames, each run alone. Bar 1 %.

    python -m benchmarks.policy_robustness [--smoke] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.progress import track

from adaedge.channel import RateEstimate, RateEstimator, Transitions, Upload
from adaedge.energy import RADIOS, EnergyModel
from adaedge.operating_point import OperatingPoint, Profile
from adaedge.runtime.record import FrameRecord
from adaedge.scheduling import BestOf, ExpectedEnergy, LinearBandit, Policy, Scheduler, VirtualQueues
from adaedge.simulation import simulate
from benchmarks import result
from benchmarks.no_harm import TUNED_ON, links
from benchmarks.policies_on_traces import Case, Link, lite0, video_mae

FRAMES, LEARNED, WINDOW, WINDOWS = 600, 200, 600, 2
HOUR_S, SHARES, AVERAGE = 3600.0, (0.3, 0.6, 0.85), 0.97
FACTORS, AGES_S = (0.7, 1.3), (5.0, 30.0)
BARS = {"above_right": 0.02, "battery_off": 0.01, "accuracy_short": 0.001, "above_best_member": 0.01}
Records = list[FrameRecord]


@dataclass(frozen=True, slots=True)
class Cell:
    """A case on a link."""

    case: Case
    link: Link

    def run(
        self,
        policy: Policy,
        *,
        believed: Profile | None = None,
        radio: str | None = None,
        estimator: RateEstimator | None = None,
        frames: int = FRAMES,
        floor: float | None = None,
    ) -> Records:
        """Frames through a scheduler that believes what it is told; what happens follows the case and the link."""
        case, real = self.case, EnergyModel(self.case.compute, self.link.radio)
        thought = real if radio is None else EnergyModel(case.compute, RADIOS[radio])
        scheduler = Scheduler(
            believed or case.profile,
            thought,
            deadline_s=case.deadline_s,
            accuracy_floor=case.floor if floor is None else floor,
            period_s=case.period_s,
            policy=policy,
        )
        told = {"frames": frames, "period_s": case.period_s, "estimator": estimator}
        return simulate(case.profile, real, self.link.trace, scheduler, **told)


class Late:
    """An estimator that learns of each upload some seconds after it ended."""

    def __init__(self, age_s: float) -> None:
        self._inner, self._age_s = Transitions(), age_s
        self._waiting: deque[Upload] = deque()

        self.patience = self._inner.patience

    def observe(self, upload: Upload) -> None:
        """It happened, and is not known yet."""
        self._waiting.append(upload)

    def estimate(self, now_s: float) -> RateEstimate | None:
        """What is known of the uploads that are old enough."""
        while self._waiting and self._waiting[0].time_s <= now_s - self._age_s:
            self._inner.observe(self._waiting.popleft())
        return self._inner.estimate(now_s)


def off(profile: Profile, computing: float, sent: float) -> Profile:
    """A profile that says so many times what is true."""

    def wrong(cost: Any) -> Any:
        seconds = {name: computing * getattr(cost, name) for name in ("head_s", "encode_s", "finish_s")}
        return replace(cost, payload_bytes=sent * cost.payload_bytes, **seconds)

    return Profile({point: wrong(cost) for point, cost in profile.items()}, profile.bundle, "wrong", "wrong")


def joules(records: Sequence[FrameRecord]) -> float:
    return sum(record.measurement.energy.total_j for record in records)


def misses(records: Sequence[FrameRecord]) -> float:
    return float(np.mean([record.measurement.latency_s > record.deadline_s for record in records]))


def beliefs(cell: Cell) -> Iterator[tuple[str, str, Callable[[], Records]]]:
    """What is believed wrongly, by whom, and what runs it."""
    wrong = {f"computing {factor}": off(cell.case.profile, factor, 1.0) for factor in FACTORS}
    wrong |= {f"bytes {factor}": off(cell.case.profile, 1.0, factor) for factor in FACTORS}
    others = [name for name in ("wifi-2012", "lte-2021", "nr-drx") if RADIOS[name] != cell.link.radio][:2]
    for policy in (ExpectedEnergy(), LinearBandit()):
        who = type(policy).__name__
        for name, profile in wrong.items():
            yield name, who, lambda profile=profile, policy=policy: cell.run(policy, believed=profile)
        yield "right", who, lambda policy=policy: cell.run(policy)
    for age_s in AGES_S:
        yield (
            f"stale {age_s:g} s",
            "ExpectedEnergy",
            lambda age_s=age_s: cell.run(ExpectedEnergy(), estimator=Late(age_s)),
        )
    for name in others:
        yield "radio", "ExpectedEnergy", lambda name=name: cell.run(ExpectedEnergy(), radio=name)


def misjudged(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """A row for each belief and policy, pooled over the cells of a case."""
    found: dict[tuple[str, str, str], list[tuple[float, float, float]]] = {}
    for cell in track(cells, description="beliefs"):
        right = cell.run(ExpectedEnergy())[LEARNED:]
        for belief, who, run in beliefs(cell):
            records = run()[LEARNED:]
            one = (joules(records), joules(right), misses(records) - misses(right))
            found.setdefault((cell.case.name, belief, who), []).append(one)
    rows = []
    for (case, belief, who), values in found.items():
        spent_j, right_j, more = np.array(values).T
        rows.append({"what": "misjudged", "case": case, "believed": belief, "policy": who, "links": len(values),
                     "above_right": float(spent_j.sum() / right_j.sum() - 1),
                     "above_right_worst": float((spent_j / right_j).max() - 1),
                     "more_misses": float(more.mean())})  # fmt: skip
    return rows


def accuracies(profile: Profile) -> dict[OperatingPoint, float]:
    return {point: 1.0 if cost.accuracy is None else cost.accuracy for point, cost in profile.items()}


def promises(cell: Cell, hour_s: float) -> list[dict[str, Any]]:
    """A battery until an hour, at three sizes; and an accuracy on average."""
    case, frames = cell.case, round(hour_s / cell.case.period_s)
    known, rows = accuracies(case.profile), []
    floor = min(known.values())
    fewest_j = joules(cell.run(VirtualQueues(), frames=frames, floor=floor))
    most_j = joules(cell.run(ExpectedEnergy(), frames=frames, floor=max(known.values())))
    named = {"case": case.name, "link": cell.link.name, "frames": frames}
    for share in SHARES:
        battery_j = fewest_j + share * (most_j - fewest_j)
        records = cell.run(VirtualQueues(battery_j=battery_j, until_s=hour_s), frames=frames, floor=floor)
        rows.append({"what": "battery", **named, "share": share, "off": joules(records) / battery_j - 1,
                     "accuracy": float(np.mean([known[record.decision.point] for record in records]))})  # fmt: skip
    records = cell.run(VirtualQueues(accuracy=AVERAGE), frames=frames, floor=floor)
    mean = float(np.mean([known[record.decision.point] for record in records]))
    rows.append(
        {"what": "average", **named, "accuracy": mean, "short": AVERAGE - mean, "of_most": joules(records) / most_j}
    )
    return rows


def best_of(cell: Cell, windows: int) -> list[dict[str, Any]]:
    """Each window of `BestOf` beside the best member of that window, each run alone from the first frame on."""
    frames, policy = windows * WINDOW, BestOf()
    runs = {type(member).__name__: cell.run(member, frames=frames) for member in policy.policies}
    ours, rows = cell.run(policy, frames=frames), []
    for number in range(windows):
        part = slice(number * WINDOW, (number + 1) * WINDOW)
        members = {name: joules(records[part]) for name, records in runs.items()}
        best = min(members, key=members.__getitem__)
        rows.append({"what": "best", "case": cell.case.name, "link": cell.link.name, "window": number, "best": best,
                     "above": joules(ours[part]) / members[best] - 1, "misses": misses(ours[part])})  # fmt: skip
    return rows


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    def of(what: str, name: str) -> np.ndarray[Any, Any]:
        return np.array([row[name] for row in rows if row["what"] == what])

    found: dict[str, Any] = {}
    for who in ("ExpectedEnergy", "LinearBandit"):
        wrong = [
            row for row in rows if row["what"] == "misjudged" and row["policy"] == who and row["believed"] != "right"
        ]
        if wrong:
            found[f"above_right_worst_{who}"] = max(row["above_right"] for row in wrong)
    if len(off_by := np.abs(of("battery", "off"))):
        found |= {"battery_off_worst": float(off_by.max()), "batteries": len(off_by),
                  "battery_met": int((off_by <= BARS["battery_off"]).sum()),
                  "accuracy_short_worst": float(of("average", "short").max())}  # fmt: skip
    if len(above := of("best", "above")):
        found |= {"windows": len(above), "above_best_worst": float(above.max()),
                  "windows_met": int((above <= BARS["above_best_member"]).sum()),
                  "above_best_mean": float(above.mean())}  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="one link, a short hour, nothing written")
    parser.add_argument("--only", nargs="+", choices=("misjudged", "promises", "best"), help="nothing else")
    options = parser.parse_args()
    held_out = [link for link in links() if link.name not in TUNED_ON and not link.name.endswith(", scaled")]
    cells = [Cell(case, link) for link in held_out for case in (lite0(), video_mae())]
    cells = cells[-2:] if options.smoke else cells
    asked, rows = options.only or ("misjudged", "promises", "best"), []
    if "misjudged" in asked:
        rows += misjudged(cells)
    if "promises" in asked:
        hours = [cell for cell in cells if cell.case.period_s >= 1.0]  # others take five times as many frames
        rows += [
            row
            for cell in track(hours, description="hours")
            for row in promises(cell, 300 if options.smoke else HOUR_S)
        ]
    if "best" in asked:
        windows = 1 if options.smoke else WINDOWS
        rows += [row for cell in track(cells, description="windows") for row in best_of(cell, windows)]
    found = summary(rows)
    print(json.dumps(rows, indent=1), json.dumps(found, indent=1), sep="\n")
    if not options.smoke and not options.only:
        settings = {"frames": FRAMES, "learned": LEARNED, "window": WINDOW, "hour_s": HOUR_S, "average": AVERAGE}
        result.write("policy_robustness", rows, found=found, bars=BARS, joules="modelled", **settings)


if __name__ == "__main__":
    main()
