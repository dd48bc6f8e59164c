"""What happens to a terminal's frames when its edge server dies, hangs, refuses, lies, vanishes or changes?

Real processes: an edge server, for the black hole a proxy, and this one, the terminal. Faults of six kinds, in random
order and at random moments, are injected while frames flow and healed again. Every frame must be answered, rightly, by
its deadline + 25 ms; offloading must resume.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import logging
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from rich.progress import track

from adaedge.bundle import Bundle
from adaedge.energy import ComputePower, EnergyModel, RadioPower
from adaedge.operating_point import OperatingPoint, Profile
from adaedge.profiling import profile
from adaedge.runtime import Credentials, EdgeServer, GrpcLink, Terminal, answer, serve_forever, server
from adaedge.scheduling import ProbePlan, Scheduler
from benchmarks import result
from benchmarks.tiny_bundle import tiny_bundle

KINDS = ("kill -9", "SIGSTOP", "refused", "corrupted answer", "black hole", "another bundle")
SIZE, DEPTH = 128, 30  # a network that takes some 10 ms, most of it in the tail
FEATURES, LOCAL = OperatingPoint("relu", codec="u8"), OperatingPoint("output")
DEADLINE_S, PERIOD_S = 0.1, 0.03
ALLOWED_S = 0.025
PATIENCE_S = 15.0  # offloading that has not resumed by then never will
PLAN = ProbePlan(interval_s=0.1, longest_s=0.4)


def serve(bundle: str, credentials: str, port: str) -> None:
    """The edge server's process. SIGUSR1 makes it lie and lie no more, SIGUSR2 makes it refuse the token, or not."""
    lies = refuses = False

    def toggle(number: int, _: object) -> None:
        nonlocal lies, refuses
        lies, refuses = lies ^ (number == signal.SIGUSR1), refuses ^ (number == signal.SIGUSR2)

    def compared(shown: bytes, expected: bytes) -> bool:
        return not refuses and hmac.compare_digest(shown, expected)

    def spoiled(held: Bundle, payload: bytes) -> bytes:
        data = answer(held, payload)
        place = random.randrange(len(data))
        flipped = data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]
        return random.choice((data[:place], flipped, os.urandom(len(data)), b"")) if lies else data

    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, toggle)
    server.answer = spoiled
    server.hmac = SimpleNamespace(compare_digest=compared)
    running = EdgeServer(Bundle.load(bundle), address=f"127.0.0.1:{port}", credentials=Credentials.stored(credentials))
    running.preload()
    threading.Timer(0.01, print, ("ready",), {"flush": True}).start()
    serve_forever(running, grace_s=1.0)


def proxy(port: str, target: str) -> None:
    """The proxy's process: passes bytes on, or, after SIGUSR1 and until SIGUSR2, swallows them."""
    swallow = False

    def switch(on: bool) -> None:
        nonlocal swallow
        swallow = on

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                if not swallow:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            if not swallow:
                writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", int(target))
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, switch, True)
        loop.add_signal_handler(signal.SIGUSR2, switch, False)
        listening = await asyncio.start_server(accept, "127.0.0.1", int(port))
        print("ready", flush=True)
        await listening.serve_forever()

    asyncio.run(main())


class Processes:
    """The edge server's and the proxy's process, and what can be done to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.proxy_port = _free_port(), _free_port()
        tiny_bundle(SIZE, depth=DEPTH).save(folder / "right.bundle")
        tiny_bundle(SIZE, depth=DEPTH, seed=1).save(folder / "other.bundle")
        self.credentials = Credentials.stored(folder / "right")
        Credentials.stored(folder / "stranger")
        for name in ("certificate.pem", "key.pem"):  # the same server to TLS, another token
            (folder / "stranger" / name).write_bytes((folder / "right" / name).read_bytes())
        self.edge = self._spawn("serve", folder / "right.bundle", folder / "right", self.port)
        self.hole = self._spawn("proxy", self.proxy_port, self.port)

    def _spawn(self, *words: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "benchmarks.faults", *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{words} did not start"
        return process

    def restart(self, bundle: str = "right", credentials: str = "right") -> None:
        """Kill the edge server, start one with this bundle and these credentials on its port."""
        self.kill()
        self.edge = self._spawn("serve", self.folder / f"{bundle}.bundle", self.folder / credentials, self.port)

    def kill(self) -> None:
        """Kill the edge server as ``kill -9`` does."""
        _end(self.edge)

    def close(self) -> None:
        """Leave no process behind."""
        _end(self.edge)
        _end(self.hole)

    def faults(self) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
        """Kind → how to inject it, how to heal it."""
        toggle = lambda number: lambda: self.edge.send_signal(number)  # noqa: E731
        refuse = random.choice(
            [(lambda: self.restart(credentials="stranger"), self.restart), (toggle(signal.SIGUSR2),) * 2]
        )
        return {
            "kill -9": (self.kill, self.restart),
            "SIGSTOP": (toggle(signal.SIGSTOP), toggle(signal.SIGCONT)),
            "refused": refuse,
            "corrupted answer": (toggle(signal.SIGUSR1),) * 2,
            "black hole": (
                lambda: self.hole.send_signal(signal.SIGUSR1),
                lambda: self.hole.send_signal(signal.SIGUSR2),
            ),
            "another bundle": (lambda: self.restart(bundle="other"), self.restart),
        }


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()  # a stopped process, too, dies of it
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Tally:
    """What happened under one kind of fault."""

    injected: int = 0
    frames: int = 0
    failed_offloads: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0
    wrong: int = 0
    late: list[dict[str, Any]] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)
    resumed_s: list[float] = field(default_factory=list)
    not_resumed: int = 0

    def row(self, kind: str) -> dict[str, Any]:
        """The tally as a row of the result."""
        return {
            "fault": kind,
            "injected": self.injected,
            "frames": self.frames,
            "failed_offloads": dict(self.failed_offloads),
            "unanswered": self.unanswered,
            "wrong_answers": self.wrong,
            "later_than_deadline_plus_25_ms": len(self.late),
            "of_these_while_a_local_run_fitted": sum(frame["compute_s"] <= DEADLINE_S for frame in self.late),
            "late_frames": self.late,
            "latency_median_s": statistics.median(self.latency_s),
            "worst_s_after_deadline": max(self.latency_s) - DEADLINE_S,
            "not_resumed": self.not_resumed,
            "resumed_median_s": statistics.median(self.resumed_s) if self.resumed_s else None,
            "resumed_max_s": max(self.resumed_s, default=None),
        }


class Frames:
    """Sends frames through a terminal and checks every answer."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        bundle = terminal.bundle
        self.images = np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3), dtype=np.uint8)
        self.expected = {
            by: [bundle.run(point, (image[None],))[0] for image in self.images]
            for by, point in (("edge", FEATURES), ("terminal", LOCAL))
        }

    def one(self, tally: Tally) -> bool:
        """Send one frame; whether the edge server answered it."""
        start_s = time.monotonic()
        index = tally.frames % len(self.images)
        tally.frames += 1
        try:
            answered = self.terminal.infer(self.images[index])
        except Exception as error:
            tally.unanswered += 1
            print(f"unanswered: {error!r}", file=sys.stderr)
            return False
        done = answered.measurement
        tally.wrong += not np.allclose(answered.output[0], self.expected[done.answered_by][index], rtol=1e-4)
        tally.failed_offloads.update([done.failure] if done.failure else [])
        tally.latency_s.append(done.latency_s)
        if done.latency_s > DEADLINE_S + ALLOWED_S:
            figures = ("latency_s", "compute_s", "upload_s", "wait_s", "answered_by", "failure")
            tally.late.append({name: getattr(done, name) for name in figures})
        time.sleep(max(0.0, start_s + PERIOD_S - time.monotonic()))
        return done.answered_by == "edge"

    def until_offloaded(self, tally: Tally) -> bool:
        """Send frames until the edge server answers one; whether it did in time."""
        end_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < end_s:
            if self.one(tally):
                return True
        return False

    def during(self, action: Callable[[], None], tally: Tally, *, delay_s: float, more: int) -> None:
        """Send frames while ``action`` happens after a delay, and some more."""
        thread = threading.Thread(target=lambda: (time.sleep(delay_s), action()))
        thread.start()
        while thread.is_alive():
            self.one(tally)
        for _ in range(more):
            self.one(tally)


def suffer(frames: Frames, fault: tuple[Callable[[], None], Callable[[], None]], tally: Tally) -> None:
    """Inject one fault into a terminal that offloads, heal it, and wait until the terminal offloads again."""
    inject, heal = fault
    before = Tally()
    if not frames.until_offloaded(before):
        reasons = frames.terminal.scheduler.choose(None).reasons
        raise RuntimeError(f"nothing is wrong with the edge server, and nothing is offloaded: {before}, {reasons}")
    tally.injected += 1
    frames.during(inject, tally, delay_s=random.uniform(0.0, 2 * PERIOD_S), more=random.randint(8, 16))
    frames.during(heal, tally, delay_s=0.0, more=0)
    healed_s = time.monotonic()
    if frames.until_offloaded(tally):
        tally.resumed_s.append(time.monotonic() - healed_s)
    else:
        tally.not_resumed += 1


def terminal_at(port: int, processes: Processes, bundle: Bundle, measured: Profile) -> Terminal:
    """A terminal that offloads while it can: its radio costs little."""
    energy = EnergyModel(ComputePower(3.7), RadioPower("nearly free", uplink_w=0.01))
    scheduler = Scheduler(measured, energy, deadline_s=DEADLINE_S, period_s=PERIOD_S)
    stored = processes.credentials
    link = GrpcLink(f"127.0.0.1:{port}", certificate=stored.certificate, token=stored.token)
    return Terminal(bundle, scheduler, link, plan=PLAN, contact_s=0.5)


def run(faults: int, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Inject so many faults, as many of each kind."""
    random.seed(seed)
    order = [KINDS[index % len(KINDS)] for index in range(faults)]
    random.shuffle(order)
    tallies = {kind: Tally() for kind in KINDS}
    processes = Processes(folder)
    bundle = Bundle.load(folder / "right.bundle")
    try:
        measured = profile(bundle, frames=[np.zeros((SIZE, SIZE, 3), np.uint8)])
        measured = replace(measured, costs={point: measured[point] for point in (FEATURES, LOCAL)})
        near = terminal_at(processes.port, processes, bundle, measured)
        far = terminal_at(processes.proxy_port, processes, bundle, measured)
        with near, far:
            direct, proxied = Frames(near), Frames(far)
            for kind in track(order, description="faults", disable=not sys.stderr.isatty()):
                suffer(proxied if kind == "black hole" else direct, processes.faults()[kind], tallies[kind])
    finally:
        processes.close()
    return [tally.row(kind) for kind, tally in tallies.items() if tally.injected]


def main() -> None:
    if sys.argv[1:2] in (["serve"], ["proxy"]):
        {"serve": serve, "proxy": proxy}[sys.argv[1]](*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="12 faults; prints the rows and writes nothing")
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("adaedge").setLevel(logging.ERROR)  # that an edge server is down is no news here
    with tempfile.TemporaryDirectory() as folder:
        rows = run(12 if options.smoke else options.faults, options.seed, Path(folder))
    print(json.dumps(rows, indent=1))
    if not options.smoke:
        settings = {"deadline_s": DEADLINE_S, "period_s": PERIOD_S, "faults": options.faults, "seed": options.seed}
        result.write("faults", rows, **settings, probe_interval_s=PLAN.interval_s, probe_longest_s=PLAN.longest_s)


if __name__ == "__main__":
    main()
