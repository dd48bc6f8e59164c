"""What does `adaedge demo` come to, over several synthesised links?

Runs the demo once for each seed and keeps its summaries; the first seed is that of `make demo`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from adaedge import demo
from benchmarks import result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="four frames a scene of one seed, nothing written")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1 if options.smoke else options.seeds):
            frames = 4 if options.smoke else None
            shown = demo.run(Path(folder), frames=frames, seed=seed, progress=lambda *_: None)
            rows.append(json.loads((Path(folder) / "summary.json").read_text(encoding="utf-8")))
            print(f"seed {seed}:", *shown.headlines, sep="\n  ")
    if not options.smoke:
        print(result.write("demo", rows, repetitions=options.seeds))


if __name__ == "__main__":
    main()
