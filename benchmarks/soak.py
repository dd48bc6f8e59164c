"""Does an edge server stay well for half an hour at full rate, with streams that keep a state?

An edge server in a process of its own answers eight terminals in two others. Each terminal is a real `Terminal` with a
stream of its own (H.264 on moving pictures; the network is tiny, so that all 30 frames a second of each are a load of
frames and not of computing), and never rests: a frame every 33 ms. Every ten seconds the server's resident memory, its
file descriptors and its threads are read from outside. Bars: no frame unanswered; memory and descriptors flat: over the
second half, the line through them rises by at most 1 % of their mean an hour, or by less than 1 MB and 1 descriptor.

    python -m benchmarks.soak [--smoke | --minutes N]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from adaedge.bundle import Bundle
from adaedge.energy import RASPBERRY_PI_4, WIFI_2012, EnergyModel
from adaedge.operating_point import OUTPUT, Cost, OperatingPoint, Profile
from adaedge.runtime import Credentials, EdgeServer, GrpcLink, Terminal, serve_forever
from adaedge.scheduling import Fixed, Scheduler
from benchmarks import result
from benchmarks.tiny_bundle import tiny_bundle

POINT, LOCAL = OperatingPoint("input", codec="h264@28"), OperatingPoint(OUTPUT)
TERMINALS, PROCESSES, PERIOD_S, DEADLINE_S = 8, 2, 1 / 30, 0.2
MINUTES, SMOKE_MINUTES, LOOK_EVERY_S = 30.0, 0.5, 10.0
BARS = {"unanswered": 0, "drift_an_hour": 0.01, "or_bytes": 1e6, "or_descriptors": 1.0}


def serve(folder: str) -> None:
    """The edge server's process."""
    server = EdgeServer(Bundle.load(Path(folder) / "b"), credentials=Credentials.stored(folder))
    server.preload()
    print(server.address, flush=True)
    serve_forever(server)


def pictures(seed: int) -> list[np.ndarray[Any, Any]]:
    """A square that wanders over a still background: a loop of 64 frames."""
    still = np.random.default_rng(seed).integers(90, 120, (64, 64, 3), dtype=np.uint8)
    frames = []
    for index in range(64):
        frame, at = still.copy(), abs(index - 32)
        frame[20:30, at : at + 10] = 220
        frames.append(frame)
    return frames


def send(folder: str, address: str, numbers: list[int], seconds: float) -> None:
    """Terminals of one process; at the end a line of JSON for each."""
    bundle, credentials = Bundle.load(Path(folder) / "b"), Credentials.stored(folder)
    costs = {POINT: Cost(0.001, payload_bytes=900, answer_bytes=150, finish_s=0.001), LOCAL: Cost(0.02)}
    profile, energy = Profile(costs, bundle.digest, "", ""), EnergyModel(RASPBERRY_PI_4, WIFI_2012)

    def run(number: int) -> None:
        answered: Counter[str] = Counter()
        scheduler = Scheduler(profile, energy, deadline_s=DEADLINE_S, period_s=PERIOD_S, policy=Fixed(POINT))
        link = GrpcLink(address, certificate=credentials.certificate, token=credentials.token)
        frames, count, late = pictures(number), 0, 0
        with Terminal(bundle, scheduler, link) as terminal:
            begin_s = time.monotonic() + PERIOD_S * number / TERMINALS
            while (due_s := begin_s + count * PERIOD_S) < begin_s + seconds:
                time.sleep(max(0.0, due_s - time.monotonic()))
                measured = terminal.infer(frames[count % len(frames)]).measurement
                answered[measured.answered_by or "nobody"] += 1
                late += measured.latency_s > DEADLINE_S
                count += 1
        own = psutil.Process()
        lines.append({"number": number, "frames": count, "answered_by": dict(answered), "late": late,
                      "rss_bytes": own.memory_info().rss, "descriptors": own.num_fds()})  # fmt: skip

    lines: list[dict[str, Any]] = []
    threads = [threading.Thread(target=run, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for line in lines:
        print(json.dumps(line))


def measure(seconds: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """What each terminal got, what was seen of the server meanwhile, and whether its process is well at the end."""
    command = [sys.executable, "-m", "benchmarks.soak"]
    with tempfile.TemporaryDirectory() as folder:
        tiny_bundle(codecs=[POINT.codec]).save(Path(folder) / "b")
        server = subprocess.Popen([*command, "serve", folder], stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        shares = [json.dumps([*range(TERMINALS)][at::PROCESSES]) for at in range(PROCESSES)]
        senders = [
            subprocess.Popen(
                [*command, "send", folder, address, share, str(seconds)], stdout=subprocess.PIPE, text=True
            )
            for share in shares
        ]
        watched, seen, begin_s = psutil.Process(server.pid), [], time.monotonic()
        while any(sender.poll() is None for sender in senders):
            rss, number, threads = watched.memory_info().rss, watched.num_fds(), watched.num_threads()
            seen.append(
                {"at_s": time.monotonic() - begin_s, "rss_bytes": rss, "descriptors": number, "threads": threads}
            )
            time.sleep(min(LOOK_EVERY_S, seconds / 20))
        rows = [json.loads(line) for sender in senders for line in sender.communicate()[0].splitlines()]
        server.terminate()
        well = server.wait() == 0
    return sorted(rows, key=lambda row: row["number"]), seen, well


def drift(seen: list[dict[str, Any]], name: str) -> dict[str, float]:
    """The line through the second half, by least squares: its mean, and how much it rises an hour."""
    at_s, values = (np.array([float(one[key]) for one in seen]) for key in ("at_s", name))
    later = at_s >= at_s[-1] / 2
    per_s = float(np.polyfit(at_s[later], values[later], 1)[0])
    lasted_s = float(at_s[-1] / 2)
    return {"mean": float(values[later].mean()), "an_hour": 3600 * per_s, "in_the_half": per_s * lasted_s}


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
        return
    if sys.argv[1:2] == ["send"]:
        send(sys.argv[2], sys.argv[3], json.loads(sys.argv[4]), float(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="half a minute, nothing written")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    options = parser.parse_args()
    rows, seen, well = measure(60 * (SMOKE_MINUTES if options.smoke else options.minutes))
    memory, descriptors = drift(seen, "rss_bytes"), drift(seen, "descriptors")
    by: Counter[str] = sum((Counter(row["answered_by"]) for row in rows), Counter())
    found = {
        "frames": sum(row["frames"] for row in rows),
        "unanswered": by["nobody"],
        "answered_by": dict(by),
        "late": sum(row["late"] for row in rows),
        "memory_bytes": memory,
        "descriptors": descriptors,
        "memory_flat": memory["an_hour"] <= BARS["drift_an_hour"] * memory["mean"] or memory["in_the_half"] < 1e6,
        "descriptors_flat": descriptors["in_the_half"] < BARS["or_descriptors"],
        "well": well,
    }
    print(json.dumps(found, indent=1))
    if not options.smoke:
        result.write("soak", rows, minutes=options.minutes, period_s=PERIOD_S, found=found, seen=seen, bars=BARS)


if __name__ == "__main__":
    main()
