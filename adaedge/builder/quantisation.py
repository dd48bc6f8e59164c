"""A width's int8 graph: quantised once, kept for a build that goes on after a kill.

May import: ``levels``, ``engine``; of this part ``bundle_writer``, ``partition``, ``build_cache``.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx_ir as ir
import onnxruntime
from onnx_ir.passes import common as passes

from adaedge._version import __version__
from adaedge.builder.build_cache import BuildCache, key
from adaedge.builder.bundle_writer import BundleWriter
from adaedge.builder.evaluation import content_hash
from adaedge.builder.partition import Exported, GraphPartitioner
from adaedge.builder.space import INT8
from adaedge.engine import Arrays
from adaedge.levels.precision import crossing, quantise

MOST_SAMPLES = 300


def int8_partitioner(
    parts: BundleWriter, exported: Exported, samples: Sequence[Arrays], scratch: BuildCache
) -> GraphPartitioner:
    """Cuts the int8 graph of a width.

    Args:
        parts: takes graphs and weights.
        exported: the width in fp32.
        samples: the bundle's inputs, in pieces of the example's batch; at most 300 of them calibrate.
        scratch: keeps the quantised graph.

    Raises:
        LevelError: if quantising leads the computation around a tensor that crosses.
    """
    fp32 = exported.model.clone()
    passes.OutputFixPass()(fp32)  # each output once, so that each has a name of its own
    names = [str(value.name) for value in fp32.graph.inputs]
    calibration = [dict(zip(names, sample, strict=True)) for sample in samples]
    versions = f"{__version__} {onnxruntime.__version__}"
    content = content_hash(array for sample in calibration for array in sample.values())

    def make() -> bytes:
        proto: onnx.ModelProto = ir.to_proto(quantise(fp32, calibration).model)
        return bytes(proto.SerializeToString())

    found = scratch.get_or(key(INT8, versions, ir.to_proto(fp32).SerializeToString(), content), make)
    model = ir.from_proto(onnx.load_from_string(found))
    values = [crossing(model.graph, str(value.name)) for value in fp32.graph.outputs]
    return GraphPartitioner(parts, exported, INT8, model, values)
