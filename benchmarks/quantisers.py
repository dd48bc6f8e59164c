"""Which quantiser, and which types of weights and activations?

MobileNetV2 and EfficientNet-Lite0 with their real weights, the photographs split as in `int8_speed`. ONNX Runtime's
quantiser with unsigned and signed types, with 7 bits (`reduce_range`), with one scale per tensor; adaedge's ranges of
weights in the same quantiser; NNCF where `--nncf` names the Python of an environment that has it. Each is run in ONNX
Runtime on the test photographs, in random order, one thread: agreement of the class with fp32's, relative squared error
of the scores, CPU seconds. On a processor with VNNI the sums that saturate without it do not show: see
docs/explanation/precision.md.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_infer_metadata
from rich.progress import track

from adaedge.builder.subgraphs import export
from adaedge.levels.precision import same_class
from adaedge.levels.precision.activation_ranges import extremes, whole_range
from adaedge.levels.precision.agreement import relative_error, session
from adaedge.levels.precision.preparation import prepared
from adaedge.levels.precision.quantisers import overrides, static, static_nodes
from benchmarks import result
from benchmarks.int8_speed import CASES, DATA, Case, Photographs, loaded
from benchmarks.timing import spread

S8, U8 = QuantType.QInt8, QuantType.QUInt8
# name → weights, activations, 7 bits, one scale per channel
ARMS = {
    "S8 weights, U8 activations": (S8, U8, False, True),
    "the same, 7 bits": (S8, U8, True, True),
    "the same, one scale per tensor": (S8, U8, False, False),
    "U8 weights, U8 activations": (U8, U8, False, True),
    "the same as U8, one scale per tensor": (U8, U8, False, False),
    "S8 weights, S8 activations": (S8, S8, False, True),
}


def plain(fp32: ir.Model, ranges: dict[str, Any], arm: tuple[QuantType, QuantType, bool, bool]) -> ir.Model:
    """ONNX Runtime's quantiser as it comes."""
    weights, activations, reduced, per_channel = arm
    proto = ir.to_proto(fp32)
    add_infer_metadata(proto)
    nodes = list(static_nodes(fp32.graph))
    options = {"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]}
    data = TensorsData(CalibrationMethod.MinMax, dict(ranges))
    kinds = sorted({node.op_type for node in fp32.graph})
    quantiser = QDQQuantizer(proto, per_channel, reduced, weights, activations, data, nodes, [], kinds, options)
    return ir.from_proto(quantiser.quantize_model())


def by_nncf(python: str, fp32: ir.Model, calibrate: Sequence[Any]) -> dict[str, ir.Model]:
    with tempfile.TemporaryDirectory() as folder:
        given, inputs, written = (Path(folder) / name for name in ("fp32.onnx", "inputs.npy", "int8.onnx"))
        onnx.save(ir.to_proto(fp32), given)
        np.save(inputs, np.stack([next(iter(sample.values())) for sample in calibrate]))
        script = Path(__file__).with_name("with_nncf.py")
        done = subprocess.run([python, script, given, inputs, written], check=True, capture_output=True, text=True)
        return {f"NNCF {done.stdout.split()[-1]}": ir.from_proto(onnx.load(written))}


def rows_of(case: Case, nncf: str | None) -> list[dict[str, Any]]:
    model = loaded(case)
    fp32 = prepared(export(model.module, model.args))
    paths = sorted((DATA / "images").glob("*.JPEG"))
    everything = Photographs(paths, model.preprocessing, str(fp32.graph.inputs[0].name))
    calibrate, test = everything[::2], everything[1::2]
    ranges = {name: whole_range(rows) for name, rows in extremes(fp32, calibrate).items()}
    models = {"fp32": fp32} | {name: plain(fp32, ranges, arm) for name, arm in ARMS.items()}
    models["adaedge"] = static(fp32, ranges, overrides(fp32), static_nodes(fp32.graph))
    if nncf:
        models |= by_nncf(nncf, fp32, calibrate)
    runtimes = {name: session(one) for name, one in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    outputs: dict[str, list[np.ndarray]] = {name: [] for name in models}
    draw = random.Random(0)
    for sample in track(test, case.name):
        for name in draw.sample(list(models), len(models)):
            start = time.thread_time()
            outputs[name].append(runtimes[name].run(None, sample)[0])
            seconds[name].append(time.thread_time() - start)
    expected = np.concatenate(outputs["fp32"])
    return [
        {
            "model": case.name,
            "arm": name,
            "agreement": round(same_class(expected, np.concatenate(outputs[name])), 4),
            "error": round(relative_error(expected, np.concatenate(outputs[name])), 5),
            "cpu_s": spread(np.array(seconds[name])),
            "bytes": len(ir.to_proto(one).SerializeToString()),
        }
        for name, one in models.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nncf", help="the Python of an environment with nncf and onnx")
    parser.add_argument("--smoke", action="store_true", help="one model, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in CASES[1:2] if options.smoke else CASES[1:3]:
            rows += rows_of(case, options.nncf)
            for row in rows[-len(ARMS) - 3 :]:
                print(row["model"], row["arm"], row["agreement"], row["error"], row["cpu_s"]["median"], flush=True)
    if not options.smoke:
        result.write("quantisers", rows, threads=1, batch=1, split="sorted by name; even places calibrate, odd test")


if __name__ == "__main__":
    main()
