"""Quantise an ONNX file with NNCF; `benchmarks.quantisers` runs it in an environment that has `nncf` and `onnx`.

It prints NNCF's version last.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("given", type=Path, help="the ONNX file")
    parser.add_argument("inputs", type=Path, help="a NumPy file of inputs, (samples, 1, 3, H, W)")
    parser.add_argument("written", type=Path, help="the file to write")
    options = parser.parse_args()
    try:
        import nncf
        import onnx
    except ModuleNotFoundError as error:
        parser.error(f"{error.name} is not installed here: pip install nncf onnx, in an environment of its own")

    model = onnx.load(options.given)
    name = model.graph.input[0].name
    samples = np.load(options.inputs, mmap_mode="r")
    found = nncf.quantize(model, nncf.Dataset(samples, lambda array: {name: array}), subset_size=len(samples))
    onnx.save(found, options.written)
    print(nncf.__version__)


if __name__ == "__main__":
    main()
