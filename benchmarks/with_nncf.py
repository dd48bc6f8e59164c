"""Quantise an ONNX file with NNCF; `benchmarks.quantisers` runs it in an environment that has `nncf` and `onnx`.

Arguments: the file, a NumPy file of inputs (samples, 1, 3, H, W), and the file to write. Says NNCF's version last.
"""

from __future__ import annotations

import sys

import numpy as np


def main() -> None:
    import nncf
    import onnx

    given, inputs, written = sys.argv[1:]
    model = onnx.load(given)
    name = model.graph.input[0].name
    samples = np.load(inputs, mmap_mode="r")
    found = nncf.quantize(model, nncf.Dataset(samples, lambda array: {name: array}), subset_size=len(samples))
    onnx.save(found, written)
    print(nncf.__version__)


if __name__ == "__main__":
    main()
