"""Origin: how the figures of a report are known, and on what they were obtained.

May import: ``energy``, ``profiling``.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adaedge._version import __version__
from adaedge.energy import Provenance
from adaedge.profiling import processor

if TYPE_CHECKING:
    from adaedge.energy import EnergyModel

PACKAGES = ("onnxruntime", "numpy", "grpcio")


@dataclass(frozen=True, slots=True)
class Origin:
    """How the figures of a report are known. Joules are always modelled, from times and powers.

    Attributes:
        energy: the energy model that the run was charged by; ``None`` where the report was not told.
        time: how latencies and bytes are known: ``measured`` in a run, ``modelled`` in a simulation, ``None`` where the
            report was not told.
        reference: what the answers were compared with.
        note: what a reader must know of the times, for example that the terminal was slowed to stand for another.

    Example:
        >>> Origin().caption()
        'Joules are modelled: times measured here, power figures as the run was configured.'
    """

    energy: EnergyModel | None = None
    time: Provenance | None = Provenance.MEASURED
    reference: str = "the full network in fp32"
    note: str = ""

    def caption(self) -> str:
        """One sentence for beneath a table."""
        named = {None: "times as recorded", Provenance.MEASURED: "times measured here"}
        times = named.get(self.time, f"times {self.time}")
        times += f" ({self.note})" if self.note else ""
        if self.energy is None:
            return f"Joules are modelled: {times}, power figures as the run was configured."
        compute, radio = self.energy.compute, self.energy.radio
        powers = f"compute power {_sourced(compute.provenance, compute.source)}"
        return f"Joules are modelled: {times}, {powers}, radio {radio.name} ({radio.describe()})."

    @property
    def known(self) -> str:
        """How latencies and bytes are known, for the heading of a column."""
        return "recorded" if self.time is None else str(self.time)

    def figures(self) -> list[tuple[str, str, str]]:
        """Every kind of figure in the report: its name, how it is known, and its source."""
        rows = [
            (
                "latency, deadline misses",
                self.known,
                "; ".join(filter(None, (_CLOCK.get(self.time, ""), self.note))),
            ),
            ("bytes", self.known, "length of what was sent, headers and probes included"),
            ("agreement", "measured", f"same answer as {self.reference}"),
            (
                "joules",
                str(Provenance.MODELLED),
                "power × time, above idle; the radio's waking and tail included",
            ),
        ]
        if self.energy is None:
            return [*rows, ("power", "not recorded", "the energy model that the run was configured with")]
        compute, radio = self.energy.compute, self.energy.radio
        rows.append((f"compute power, {compute.busy_w:g} W", str(compute.provenance), compute.source))
        kinds = dict.fromkeys(radio.provenance.values())
        return rows + [
            (f"radio {radio.name}: {_names(radio.provenance, kind)}", str(kind), radio.source) for kind in kinds
        ]


_CLOCK = {
    None: "by `adaedge run`: measured; by `adaedge simulate`: modelled",
    Provenance.MEASURED: "monotonic clock of the terminal, frame in to answer out",
    Provenance.MODELLED: "profile of each part and the replayed link",
}


def environment() -> dict[str, str]:
    """The machine and the versions that a run depends on."""
    versions = {package: _version(package) for package in PACKAGES}
    system = f"{platform.system()} {platform.machine()}"
    about = {
        "machine": f"{processor()}, {os.cpu_count()} cores, {system}",
        "python": platform.python_version(),
        "adaedge": __version__,
    }
    return about | {package: version for package, version in versions.items() if version}


def _sourced(provenance: Provenance, source: str) -> str:
    return f"{provenance} ({source})" if source else str(provenance)


def _names(provenance: Mapping[str, Provenance], kind: Provenance) -> str:
    return ", ".join(figure for figure, known in provenance.items() if known == kind)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
