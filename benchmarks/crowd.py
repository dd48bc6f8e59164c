"""How long does it take to simulate 1,000 terminals over one edge server for an hour, and does it queue as theory says?

The crowd: EfficientNet-Lite0's modelled costs on a Raspberry Pi 4, a frame each second, fading links of 5 to 40 Mbit/s,
each terminal choosing local or one of seven offloads by its link. One edge server has slots for about three quarters of
what is offered, and for about a third. Theory: with Poisson arrivals and equal computing, the queue is an M/D/c, whose
mean wait follows from the queue's lengths one service time apart. Bars: two minutes of
the processor for an hour; waits within 3 %. (The time on the wall is told too; other programs ran.)

    python -m benchmarks.crowd [--smoke]
"""

from __future__ import annotations

import argparse
import json
import math
import time
from typing import Any

import numpy as np

from adaedge.channel import Trace
from adaedge.energy import RADIOS, RASPBERRY_PI_4, EnergyModel
from adaedge.fleet import Kind, Member, simulate_crowd
from adaedge.operating_point import Cost, OperatingPoint, Profile
from adaedge.scheduling import Limits
from benchmarks import result
from benchmarks.policies_on_traces import lite0

TERMINALS, HOUR_S, SLOTS = 1000, 3600.0, (12, 4)
LOADS = ((1, 0.5), (1, 0.8), (4, 0.8), (16, 0.8), (16, 0.95))
BARS = {"cpu_s_an_hour": 120.0, "off_theory": 0.03}
_MANY = 10_000  # terminals, so that hardly any is still busy when its next frame comes
_LONGEST = 800  # queue lengths that are told apart


def wait_in_theory_s(rate_per_s: float, service_s: float, slots: int) -> float:
    """Mean wait in an M/D/c queue.

    Whoever is served at t is gone at t + D, so lengths one service time apart are a Markov chain: those above c stay,
    and a Poisson number comes. Its stationary distribution gives the mean number that waits, and Little's law the wait.
    """
    mean = rate_per_s * service_s
    counts = np.arange(_LONGEST)
    comes = np.exp(counts * math.log(mean) - mean - np.array([math.lgamma(count + 1) for count in counts]))
    chain = np.zeros((_LONGEST, _LONGEST))
    for length in range(_LONGEST):
        left = max(0, length - slots)
        chain[length, left:] = comes[: _LONGEST - left]
        chain[length, -1] += 1 - chain[length].sum()
    system = chain.T - np.eye(_LONGEST)
    system[-1] = 1.0
    lengths = np.linalg.solve(system, np.eye(_LONGEST)[-1])
    return float((np.maximum(counts - slots, 0) * lengths).sum() / rate_per_s)


def crowd(terminals: int = TERMINALS, radio: str = "nr-drx") -> list[Member]:
    """Terminals with links of their own."""
    case, draw = lite0(), np.random.default_rng(0)
    energy = EnergyModel(RASPBERRY_PI_4, RADIOS[radio])
    kind = Kind(case.profile, energy, Limits.of(case.deadline_s, case.floor, 1.0))
    means = np.exp(draw.uniform(np.log(5e6), np.log(40e6), 100))
    traces = [Trace(np.arange(300.0), mean * np.exp(draw.normal(0, 0.5, 300))) for mean in means]
    return [Member(kind, traces[number % 100], number / terminals) for number in range(terminals)]


def hour(slots: int, lasts_s: float) -> dict[str, Any]:
    """A crowd over one edge server."""
    members = crowd()
    begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
    found = simulate_crowd(members, slots=slots, duration_s=lasts_s)
    took_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - begun_cpu_s
    waits_s = np.array(found.waits_s)
    return {
        "terminals": TERMINALS,
        "slots": slots,
        "simulated_s": lasts_s,
        "seconds": took_s,
        "cpu_s": cpu_s,
        "frames": found.frames,
        "answered": found.answered,
        "refused": found.refused,
        "in_vain": found.in_vain,
        "missed": found.missed,
        "busy": found.busy,
        "wait_p99_s": float(np.quantile(waits_s, 0.99)),
        "energy_j_per_frame": found.energy_j_per_frame,
    }


def beside_theory(slots: int, load: float, lasts_s: float) -> dict[str, Any]:
    """A queue of equal payloads at a load."""
    service_s, jpeg = 0.01, OperatingPoint("input", codec="jpeg@90")
    costs = {OperatingPoint("output"): Cost(0.01), jpeg: Cost(0.0, 0.0, 100.0, 0.0, service_s, 10.0, 0.01)}
    rate = load * slots / service_s
    energy = EnergyModel(RASPBERRY_PI_4, RADIOS["nr-awake"])
    limits = Limits.of(1e6, period_s=_MANY / rate)
    kind = Kind(Profile(costs, "", "", ""), energy, limits, jpeg, round_trip_s=0.0)
    members = [Member(kind, Trace([0.0], [1e9]))] * _MANY
    found = simulate_crowd(members, slots=slots, duration_s=lasts_s, arrivals="poisson", seed=1)
    theory_s, wait_s = wait_in_theory_s(rate, service_s, slots), float(np.mean(found.waits_s))
    row = {"slots": slots, "load": load, "payloads": len(found.waits_s), "wait_s": wait_s, "theory_s": theory_s}
    return row | {"off_theory": wait_s / theory_s - 1}


def _lasts_s(slots: int, load: float) -> float:
    """So long that chance moves the mean wait by about a hundredth: queues near their limit forget slowly."""
    return 2000.0 / slots * (8 if load > 0.9 else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="ten seconds, nothing written")
    options = parser.parse_args()
    rows = [hour(slots, 10.0 if options.smoke else HOUR_S) for slots in SLOTS]
    waits = [beside_theory(slots, load, 2.0 if options.smoke else _lasts_s(slots, load)) for slots, load in LOADS]
    print(json.dumps([*rows, *waits], indent=1))
    if not options.smoke:
        result.write("crowd", [*rows, *waits], bars=BARS)


if __name__ == "__main__":
    main()
