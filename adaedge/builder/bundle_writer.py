"""BundleWriter: graphs, weights and bottlenecks, gathered while a bundle is built.

May import: ``operating_point``, ``payload``; of ``bundle`` the manifest; of this part ``bottlenecks``, ``weight_file``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import safetensors.numpy

from adaedge.builder.bottlenecks import Bottlenecks
from adaedge.builder.weight_file import WeightFile
from adaedge.bundle import Bundle, Cut, Manifest, PointEntry, Subgraph
from adaedge.bundle.entries import File
from adaedge.bundle.manifest import WEIGHTS
from adaedge.operating_point import Level
from adaedge.payload import OwnCodec


@dataclass(slots=True)
class BundleWriter:
    """Gathers the parts that a bundle is made of.

    Attributes:
        cuts: of one level after another, each in execution order.
        graphs: path → bytes.
        weights: the tensors that the graphs share.
        bottlenecks: of split points and widths.
        plans: path → bytes of the plans of incremental halves.
        codecs: the user's own.
    """

    cuts: list[Cut] = field(default_factory=list)
    graphs: dict[str, bytes] = field(default_factory=dict)
    weights: WeightFile = field(default_factory=WeightFile)
    bottlenecks: Bottlenecks = field(default_factory=Bottlenecks)
    plans: dict[str, bytes] = field(default_factory=dict)
    codecs: Sequence[OwnCodec] = ()

    def cut(self, split: str, level: Level) -> Cut:
        """The halves at a split point and level."""
        return next(cut for cut in self.cuts if (cut.split, cut.level) == (split, level))

    def digest(self, half: Subgraph | None) -> bytes:
        """What identifies a half: its graph and its weights."""
        if half is None:
            return b""
        digest = hashlib.sha256(self.graphs[half.graph])
        for name in half.weights:
            digest.update(self.weights.digests[name])
        return digest.digest()

    def bundle(self, about: Manifest, cuts: Sequence[Cut], entries: Sequence[PointEntry]) -> Bundle:
        """The bundle of these cuts and points, and of nothing that none of them needs.

        Args:
            about: the manifest, without what is built.
            cuts: some of ``self.cuts``.
            entries: the points at them.
        """
        halves = [half for cut in cuts for half in cut.graphs]
        names = {name for half in halves for name in half.weights}
        slices = {name: which for name, which in self.weights.slices.items() if name in names}
        stored = names - {*slices} | {which.tensor for which in slices.values()}
        tensors = {name: array for name, array in self.weights.tensors.items() if name in stored}
        files = {path: self.graphs[path] for path in dict.fromkeys(half.graph for half in halves)}
        files |= {cut.bottleneck: self.bottlenecks.files[cut.bottleneck] for cut in cuts if cut.bottleneck}
        files |= {half.plan: self.plans[half.plan] for cut in cuts for half in cut.incrementals}
        files[WEIGHTS] = safetensors.numpy.save(tensors)
        hashes = {path: File(hashlib.sha256(data).hexdigest(), len(data)) for path, data in files.items()}
        manifest = replace(about, files=hashes, cuts=tuple(cuts), points=tuple(entries), slices=slices)
        return Bundle(manifest, files, codecs=self.codecs)
