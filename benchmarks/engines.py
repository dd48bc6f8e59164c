"""Which engine is faster, ONNX Runtime or OpenVINO, and do they answer the same?

Whole networks at batch 1, on one thread: five in fp32 (random weights but for MobileNetV2 and EfficientNet-Lite0: a
time does not depend on them), and the two real ones in int8 as well, calibrated on 64 photographs at even places of the
sorted names. Every round runs both engines once, in random order, after a warm-up; `ratio` is ONNX Runtime's median
over OpenVINO's, in CPU seconds of the process, above 1 where OpenVINO is faster; `wall_ratio` is by the clock. Answers
are compared on 100 photographs at odd places (int8: the class, and how far from fp32 each engine is, relative to the
norm of fp32's answer; medians); random weights on one photograph. Needs the extra `openvino`.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from adaedge.builder.subgraphs import export
from adaedge.bundle.engine_check import QUANTISED_FACTOR, distance
from adaedge.bundle.preprocessing import Preprocessing
from adaedge.engine import ENGINES, ONNX_RUNTIME, OPENVINO, Engine, load_engine, version_of
from adaedge.levels.precision import quantise, same_class
from adaedge.levels.precision.preparation import prepared
from benchmarks import result
from benchmarks.int8_speed import CASES, DATA, Case, Photographs, loaded
from benchmarks.timing import spread, timed

CALIBRATED, TESTED, ROUNDS = 64, 100, 80
REAL = tuple(case for case in CASES if case.name in ("timm:mobilenetv2_100", "timm:efficientnet_lite0"))
NETWORKS = (
    Case("timm:resnet18", metric=None),
    Case("timm:vit_tiny_patch16_224", metric=None),
    Case("timm:mobilenetv3_small_100", metric=None),
    *REAL,
)


def engines_of(model: ir.Model) -> tuple[dict[str, Engine], dict[str, float]]:
    """The graph in each engine, and the CPU seconds that loading it took."""
    data, found, seconds = ir.to_proto(model).SerializeToString(), {}, {}
    for name in ENGINES:
        begin = time.process_time()
        found[name] = load_engine(name, data, {})
        seconds[name] = round(time.process_time() - begin, 3)
    return found, seconds


def raced(
    case: Case, precision: str, model: ir.Model, image: np.ndarray, rounds: int
) -> tuple[dict, dict[str, Engine]]:
    engines, load_s = engines_of(model)
    arms = {name: (lambda engine=engine: engine.run([image])) for name, engine in engines.items()}
    seconds = timed(arms, rounds, cpu_s=time.process_time)
    cpu, wall = (
        float(np.median(seconds[ONNX_RUNTIME][clock]) / np.median(seconds[OPENVINO][clock])) for clock in (0, 1)
    )
    row = {"model": case.name, "precision": precision, "ratio": round(cpu, 3), "wall_ratio": round(wall, 3)}
    row |= {f"{name}_s": spread(seconds[name][0]) for name in ENGINES}
    return row | {"load_cpu_s": load_s}, engines


def agreement(engines: dict[str, Engine], test: list[np.ndarray]) -> dict[str, Any]:
    """Of an fp32 graph: how far apart the answers are, at most."""
    apart = [distance(*(engines[name].run([image]) for name in (OPENVINO, ONNX_RUNTIME))) for image in test]
    return {"tested": len(test), "apart_at_most": float(f"{max(apart):.1e}")}


def int8_agreement(engines: dict[str, Engine], fp32: Engine, test: list[np.ndarray]) -> dict[str, Any]:
    answers = {name: [engine.run([image])[0] for image in test] for name, engine in engines.items()}
    plain = [fp32.run([image])[0] for image in test]
    from_fp32 = {
        name: round(float(np.median([distance([a], [b]) for a, b in zip(each, plain, strict=True)])), 4)
        for name, each in answers.items()
    }
    same = {name: float(np.mean([*map(same_class, each, plain)])) for name, each in answers.items()}
    return {
        "tested": len(test),
        "from_fp32": from_fp32,
        "same_class_as_fp32": {name: round(value, 4) for name, value in same.items()},
        "same_class_in_both": round(float(np.mean([*map(same_class, *answers.values())])), 4),
        "accepted": from_fp32[OPENVINO] <= QUANTISED_FACTOR * from_fp32[ONNX_RUNTIME],
    }


def rows_of(case: Case, rounds: int, *, calibrated: int, tested: int) -> list[dict[str, Any]]:
    model = loaded(case)
    exported = export(model.module, (model.args[0],))
    name = str(exported.graph.inputs[0].name)
    paths = sorted((DATA / "images").glob("*.JPEG"))
    everything = Photographs(paths, model.preprocessing or Preprocessing(), name)
    test = [sample[name] for sample in everything[1::2][: tested if case in REAL else 1]]
    row, engines = raced(case, "fp32", prepared(exported), test[0], rounds)
    rows = [row | agreement(engines, test)]
    if case in REAL:
        int8 = quantise(exported, everything[::2][:calibrated], wanted=0.97, metric=case.metric)
        row, quantised = raced(case, "int8", int8.model, test[0], rounds)
        rows.append(row | {"scheme": int8.scheme} | int8_agreement(quantised, engines[ONNX_RUNTIME], test))
    return rows


def means(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Geometric means of the ratios, by precision."""
    logs: dict[str, list[float]] = {}
    for row in rows:
        logs.setdefault(row["precision"], []).append(math.log(row["ratio"]))
    return {precision: round(math.exp(float(np.mean(each))), 3) for precision, each in logs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="three rounds of one model, nothing written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in NETWORKS[2:3] if options.smoke else NETWORKS:
            rows += rows_of(case, 3 if options.smoke else ROUNDS, calibrated=CALIBRATED, tested=TESTED)
            print(
                [{key: value for key, value in row.items() if not key.endswith("_s")} for row in rows[-2:]], flush=True
            )
    if options.smoke:
        return
    found = {"geometric_mean": means(rows), "versions": {name: version_of(name) for name in ENGINES}}
    print(found)
    result.write("engines", rows, found=found, rounds=ROUNDS, threads=1, batch=1)


if __name__ == "__main__":
    main()
