"""Write a dozen pictures to a folder: what ``make test-terminal`` fits a bottleneck on. Runs where torch is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
values = np.random.default_rng(0)
for index in range(12):
    coarse = values.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC).save(folder / f"{index:02}.jpg")
