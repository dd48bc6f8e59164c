"""The plan of least energy: dynamic programming over frames, with every future rate and every change known.

May import: ``operating_point``, ``energy``, ``channel``, ``payload``, ``scheduling``; of this part ``changes``,
``references``, ``scenario``.

**State** of a frame: when the last payload was sent, in frames, and what it left at both ends, which is nothing or the
frame of that payload in one family of codecs at one place. Both follow from one number and one name, because only the
last payload can be built upon. The number says how deep the radio sleeps, too. **Moves**: answer locally, which leaves
the reference and makes it a frame older; send a payload that leaves none; or one that leaves this frame's in some
family. Where that family is held the payload costs what the frame changed against the held one, elsewhere a refresh.

**Exact** are transfers, time-outs, changes and the costs that follow from them. **Approximate**: the radio falls
asleep in whole frames, and latencies are taken to be within the period. **Bounded**: a reference is planned with for
`OLDEST_REFERENCE` frames; one that is older counts as lost, so a plan may refresh where it had to only in part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from adaedge.operating_point import REFRESH, Decision, OperatingPoint
from adaedge.payload import codec_family
from adaedge.scheduling import Table
from adaedge.simulation.changes import Changes
from adaedge.simulation.references import whole_bytes
from adaedge.simulation.scenario import Scenario

OLDEST_REFERENCE = 64
"""Frames after which a plan no longer counts on a reference."""
_PENALTY_J = 1e9  # of a missed deadline: more than any energy

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
Best = tuple[Floats, Rows]
"""Joules, and the rows of the points that take so few."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """The true outcome of frames at points; all arrays of one shape.

    Attributes:
        energy_j: joules until the next upload; a penalty is added where the answer is late.
        latency_s: seconds from the frame to the answer.
        answered: whether by the edge server.
    """

    energy_j: Floats
    latency_s: Floats
    answered: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Foresight:
    """The true outcome of each frame of a scenario.

    Attributes:
        scenario: what is replayed.
        table: its points.
        changes: of its frames; ``None`` where every payload is a refresh.
    """

    scenario: Scenario
    table: Table
    changes: Changes | None

    @property
    def families(self) -> tuple[Rows, ...]:
        """Rows of the points whose payloads can build upon each other's; each such set."""
        knots = self.table.knots
        if knots is None or self.changes is None:
            return ()
        found: dict[tuple[str, str, float, str], list[int]] = {}
        for row in knots.rows.values():
            if self.table.local[row]:
                continue
            found.setdefault(_family(self.table.points[row]), []).append(row)
        return tuple(np.array(rows, np.intp) for rows in found.values())

    def since(self, age: int) -> Floats:
        """(frames,): the change of each frame against the one that is so much older; of the first, that is none."""
        changes, frames = self.changes, self.scenario.frames
        assert changes is not None  # else there is no family
        return np.array([changes.of(frame, frame - age) if frame >= age else REFRESH for frame in range(frames)])

    def outcomes(self, rows: Rows, idle_s: float | Floats, change: Floats | None = None) -> Outcomes:
        """Each frame at points as it would go, (frames, points).

        Args:
            rows: of the table: the same points for each frame, (1, points), or for each its own, (frames, 1).
            idle_s: seconds since the radio's last packet, of all frames or of each, (frames, 1).
            change: (frames,): by how much change a payload is priced that builds upon another; ``None``: refreshes.
        """
        table, scenario, energy = self.table, self.scenario, self.scenario.energy
        arrivals_s = scenario.start_s + table.limits.period_s * np.arange(scenario.frames, dtype=np.float64)[:, None]
        terminal_s, edge_s, payload_bytes = self._costs(rows, change)
        local, answer_bytes, finish_s, timeout_s = (
            column[rows] for column in (table.local, table.answer_bytes, table.finish_s, table.timeout_s)
        )
        payload_bytes = np.where(local, 1.0, payload_bytes)  # a local point has none; its column is replaced
        begin_s = terminal_s + energy.radio.ready_s(idle_s)
        transfer_s = np.maximum(1e-6, scenario.trace.transfer_s(payload_bytes, arrivals_s + begin_s))
        rate_bps = 8 * payload_bytes / transfer_s
        wait_s = scenario.round_trip_s + edge_s
        wait_s = wait_s + energy.radio.hold_s(wait_s)
        latency_s = begin_s + transfer_s + wait_s + 8 * answer_bytes / rate_bps
        in_vain = latency_s > timeout_s
        # A failed offload sends what fits, is finished locally, and has woken the radio.
        fits = np.clip((timeout_s - begin_s) / transfer_s, 1e-9, 1.0)
        offload_j = energy.offload(
            terminal_s + in_vain * finish_s,
            payload_bytes * np.where(in_vain, fits, 1.0),
            rate_bps,
            np.where(in_vain, 0.0, wait_s),
            answer_bytes=np.where(in_vain, 0.0, answer_bytes),
            gap_s=np.maximum(0.0, table.limits.period_s - np.minimum(latency_s, timeout_s) + begin_s),
            idle_s=idle_s,
        ).total_j
        latency_s = np.where(in_vain, timeout_s + finish_s, latency_s)
        latency_s = np.where(local, terminal_s, latency_s)
        energy_j = np.where(local, energy.local(terminal_s).total_j, offload_j)
        late_j = _PENALTY_J * (latency_s > table.limits.deadline_s)
        return Outcomes(energy_j + late_j, latency_s, np.asarray(~(local | in_vain)))

    def _costs(self, rows: Rows, change: Floats | None) -> Floats:
        """Terminal's seconds, edge server's seconds and bytes: (3, frames or 1, points)."""
        table, knots = self.table, self.table.knots
        refresh = np.stack([column[rows] for column in (table.terminal_s, table.edge_s, table.payload_bytes)])
        if knots is None or self.changes is None:
            return refresh
        if change is not None:
            # Each measured amount's share in a change between two of them: (frames, amounts).
            shares = np.stack([np.interp(change, knots.changes, one) for one in np.eye(len(knots.changes))], axis=1)
            named = knots.named(dict.fromkeys(knots.rows, REFRESH))
            places = np.full(len(table.points), -1)
            places[named.rows] = np.arange(len(named.rows))
            held, costs = places[rows], np.moveaxis(named.costs, 0, -1)
            refresh = np.where(held >= 0, (costs[:, held] * shares[:, None]).sum(axis=-1), refresh)
        refresh[2] = whole_bytes(refresh[2])
        return refresh


@dataclass(frozen=True, slots=True, eq=False)
class _Offloads:
    """The best offload of every frame and state, by what it leaves: F families, A ages and one for sleep.

    Attributes:
        energy_j: (F + 1, frames, F + 1, A + 1): what is left (the last: nothing), frame, what is held, age.
        rows: the points.
    """

    energy_j: Floats
    rows: Rows


def cheapest_plan(foresight: Foresight) -> list[Decision]:
    """The decisions of least energy."""
    radio, period_s = foresight.scenario.energy.radio, foresight.table.limits.period_s
    families = foresight.families
    oldest = max(int(radio.settled_s / period_s) + 1, OLDEST_REFERENCE if families else 0)
    # Seconds since the last packet when a frame arrives, by its age; the last stands for sleep.
    idle_s = np.append(np.arange(1, oldest + 1) * period_s, np.inf)
    idle_j = np.append(radio.idle_j(idle_s[:-1], idle_s[:-1] + period_s), 0.0)
    # An incremental head is priced as if it always held the frame before: at least so much does a plan take.
    stepwise = foresight.since(1) if foresight.changes is not None else None
    local = _best(foresight, np.flatnonzero(foresight.table.local), 0.0, stepwise)
    offloads = _offloads(foresight, families, idle_s)
    rows, states = _walk(local, offloads, idle_j)
    return _decisions(foresight, rows, states, idle_s, families)


def _walk(local: Best, offloads: _Offloads, idle_j: Floats) -> tuple[Rows, Rows]:
    """Per frame the row of the least energy, and the state that it meets: what is held, and the age, from 0."""
    nothing, sleep = offloads.energy_j.shape[2] - 1, len(idle_j) - 1
    older = np.minimum(np.arange(sleep + 1) + 1, sleep)
    frames = len(local[0])
    ahead_j = np.zeros((nothing + 1, sleep + 1))
    moves = np.zeros((frames, nothing + 1, sleep + 1), np.intp)  # 0: local; from 1: an offload, by what it leaves
    for frame in reversed(range(frames)):
        local_j = local[0][frame] + idle_j + ahead_j[:, older]
        options_j = np.concatenate((local_j[None], offloads.energy_j[:, frame] + ahead_j[:, 0, None, None]))
        moves[frame] = options_j.argmin(axis=0)
        ahead_j = options_j.min(axis=0)
        ahead_j[:, sleep] = ahead_j[nothing, sleep]  # a reference so old counts as lost
    rows, states = np.zeros(frames, np.intp), np.zeros((frames, 2), np.intp)
    held, age = nothing, sleep
    for frame in range(frames):
        states[frame] = held, age
        move = moves[frame, held, age]
        if move:
            rows[frame] = offloads.rows[move - 1, frame, held, age]
            held, age = int(move) - 1, 0
        else:
            rows[frame], age = local[1][frame], int(older[age])
            held = nothing if age == sleep else held
    return rows, states


def _offloads(foresight: Foresight, families: tuple[Rows, ...], idle_s: Floats) -> _Offloads:
    """Each family's points by what they cost where it is held; everywhere else as refreshes."""
    count, ages, frames = len(families), len(idle_s), foresight.scenario.frames
    stateless = np.setdiff1d(np.flatnonzero(~foresight.table.local), np.concatenate([[], *families]).astype(np.intp))
    energy_j = np.full((count + 1, frames, count + 1, ages), np.inf)
    rows = np.zeros(energy_j.shape, np.intp)

    def offer(left: int, held: int | slice, age: npt.NDArray[np.bool_] | int, best: Best) -> None:
        """Let a point be chosen in some states, where it takes less than what was offered so far."""
        known_j, known = energy_j[left][:, held, age], rows[left][:, held, age]
        shape = (frames, *(1,) * (known_j.ndim - 1))
        own_j, own = best[0].reshape(shape), best[1].reshape(shape)
        rows[left][:, held, age] = np.where(own_j < known_j, own, known)
        energy_j[left][:, held, age] = np.minimum(own_j, known_j)

    for since_s, some in _alike(foresight, idle_s):
        offer(count, slice(None), some, _best(foresight, stateless, since_s))
        for family, points in enumerate(families):
            answered, in_vain = _by_outcome(foresight, points, since_s)
            for held in (other for other in range(count + 1) if other != family):
                offer(family, held, some, answered)
                offer(count, held, some, in_vain)
    for age in range(ages - 1 if families else 0):
        change = foresight.since(age + 1)
        for family, points in enumerate(families):
            answered, in_vain = _by_outcome(foresight, points, float(idle_s[age]), change)
            offer(family, family, age, answered)
            offer(count, family, age, in_vain)
    return _Offloads(energy_j, rows)


def _alike(foresight: Foresight, idle_s: Floats) -> list[tuple[float, npt.NDArray[np.bool_]]]:
    """Ages at which it takes nearly as long and as much to wake the radio: seconds since the last packet, and which."""
    radio = foresight.scenario.energy.radio
    waking = np.stack([np.round(radio.ready_s(idle_s), 2), np.round(radio.ready_j(idle_s), 3)])  # 10 ms, 1 mJ
    _, first, kinds = np.unique(waking, axis=1, return_index=True, return_inverse=True)
    return [(float(idle_s[age]), kinds.ravel() == kind) for kind, age in enumerate(first)]


def _best(foresight: Foresight, points: Rows, idle_s: float, change: Floats | None = None) -> Best:
    """Per frame the least joules among some points, and which point that is."""
    return _least(foresight.outcomes(points[None], idle_s, change).energy_j, points)


def _by_outcome(foresight: Foresight, points: Rows, idle_s: float, change: Floats | None = None) -> tuple[Best, Best]:
    """The same among those that the edge server answers, and among those that it does not."""
    found = foresight.outcomes(points[None], idle_s, change)
    answered_j, in_vain_j = (np.where(which, found.energy_j, np.inf) for which in (found.answered, ~found.answered))
    return _least(answered_j, points), _least(in_vain_j, points)


def _least(energy_j: Floats, points: Rows) -> Best:
    if not len(points):
        return np.full(len(energy_j), np.inf), np.zeros(len(energy_j), np.intp)
    columns = energy_j.argmin(axis=1)
    return energy_j[np.arange(len(columns)), columns], points[columns]


def _decisions(
    foresight: Foresight, rows: Rows, states: Rows, idle_s: Floats, families: tuple[Rows, ...]
) -> list[Decision]:
    table, changes = foresight.table, foresight.changes
    change = np.full(len(rows), REFRESH)
    for frame, (row, (held, age)) in enumerate(zip(rows, states, strict=True)):
        if changes is not None and held < len(families) and row in families[held]:
            change[frame] = changes.of(frame, frame - int(age) - 1)
        if changes is not None and frame and table.points[row].incremental:
            change[frame] = changes.of(frame, frame - 1)
    found = foresight.outcomes(rows[:, None], idle_s[states[:, 1], None], change)
    return [
        Decision(
            table.points[row],
            float(found.latency_s[frame, 0]),
            float(found.energy_j[frame, 0] % _PENALTY_J),
            float(table.accuracy[row]) if table.measured[row] else None,
            None,
            ("every future rate was known",),
            change=float(change[frame]),
        )
        for frame, row in enumerate(rows)
    ]


def _family(point: OperatingPoint) -> tuple[str, str, float, str]:
    return point.split, point.network, point.width, codec_family(point.codec)
