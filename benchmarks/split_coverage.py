"""How many models can be captured, and is head + tail exact at their split points?

Every model of the pinned list, in a process that is started again when a model kills it or takes too long. Reference
is the eager model in evaluation mode without gradients (attention's fused inference path off: a trace cannot take it).
`exact`: bit for bit at the captured batch, on an input other than the example. `batch 3`: within 1e-4 of the largest
value, bit for bit where `batch3_exact` says so. A partial result is kept and continued after an interruption.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import time
import warnings
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.graph import SplitPoint, Splittable
from benchmarks import result
from benchmarks.model_list import ENTRIES, Entry, build
from benchmarks.worker import collect

CUTS, SEVERAL, CORRECT = 20, 5, 1e-4
TIMEOUT_S = 600
SMOKE = ("timm:resnet18", "timm:swin_tiny_patch4_window7_224", "transformers:BertModel", "pytorchvideo:slowfast_r18")
PARTIAL = result.RESULTS / "split_coverage.partial.jsonl"


def check(entry: Entry, cuts: int = CUTS) -> dict[str, Any]:
    """One row: capture the model and hold head + tail against it at ``cuts`` split points."""
    torch.backends.mha.set_fastpath_enabled(False)
    net = build(entry)
    args, kwargs = entry.call(1, torch.Generator().manual_seed(1))
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        split = Splittable(net, args, kwargs)
    captured_dynamic = split.obstacle is None and split.dynamic
    chosen = choose(split.points, cuts, seed=entry.name)
    row: dict[str, Any] = {
        "model": entry.name,
        "captured": split.obstacle is None,
        "obstacle": split.obstacle and str(split.obstacle)[:300],
        "dynamic_batch": captured_dynamic,
        "capture_s": round(time.perf_counter() - started, 2),
        "macs": split.points[-1].head_macs,
        "split_points": len(split.points),
        "of_several_tensors": sum(len(point.crossing) > 1 for point in split.points),
        "most_tensors": max(len(point.crossing) for point in split.points),
        "tried": len(chosen),
        "tried_of_several": sum(len(point.crossing) > 1 for point in chosen),
    }
    row |= _outputs(net, entry)
    errors = [compare(net, split, entry, point, batch=1, seed=2) for point in chosen]
    row |= {"exact": sum(error == 0 for error in errors), "worst_error": max(errors)}
    errors = [compare(net, split, entry, point, batch=3, seed=3) for point in chosen] if captured_dynamic else [1.0]
    return row | {
        "batch3_correct": sum(error <= CORRECT for error in errors),
        "batch3_exact": sum(error == 0 for error in errors),
        "batch3_worst_error": max(errors),
    }


def choose(points: tuple[SplitPoint, ...], count: int, seed: str) -> list[SplitPoint]:
    """Both ends, five points where several tensors cross, and others at random."""
    draw = random.Random(seed)
    inner = list(points[1:-1])
    several = [point for point in inner if len(point.crossing) > 1]
    chosen = [points[0], points[-1], *draw.sample(several, min(SEVERAL, len(several)))]
    rest = [point for point in inner if point not in chosen]
    return chosen + draw.sample(rest, max(0, min(count - len(chosen), len(rest))))


def compare(net: nn.Module, split: Splittable, entry: Entry, point: SplitPoint, *, batch: int, seed: int) -> float:
    """Largest difference of head + tail from the model, relative to the largest value of that output; 0: bit-exact."""
    args, kwargs = entry.call(batch, torch.Generator().manual_seed(seed))
    own_args, own_kwargs = entry.call(
        batch, torch.Generator().manual_seed(seed)
    )  # SlowFast changes the list it is given
    head, tail = split.at(point.name)
    with torch.no_grad():
        expected, spec = pytree.tree_flatten(net(*own_args, **own_kwargs))
        features = head(*args, **kwargs)
        got, got_spec = pytree.tree_flatten(tail(*features))
    if spec != got_spec or len(features) != len(point.crossing):
        return float("inf")
    return max(difference(*pair) for pair in zip(got, expected, strict=True))


def difference(got: Any, expected: Any) -> float:
    """Of two leaves, relative to the largest value; infinite where they are not alike."""
    if not isinstance(expected, torch.Tensor):
        return 0.0 if got == expected else float("inf")
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return float("inf")
    if torch.equal(got, expected):
        return 0.0
    scale = expected.double().abs().max().item()
    # Never 0 where a bit differs.
    return max((got.double() - expected.double()).abs().max().item() / max(scale, 1e-30), 1e-12)


def _outputs(net: nn.Module, entry: Entry) -> dict[str, Any]:
    """Are there outputs, finite, and changed by a changed input?"""
    answers = []
    for seed in (2, 4):
        args, kwargs = entry.call(1, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            leaves = pytree.tree_leaves(net(*args, **kwargs))
        answers.append([leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.numel()])
    pairs = list(zip(*answers, strict=False))
    changed = max((difference(*pair) for pair in pairs), default=0.0)
    finite = all(bool(torch.isfinite(leaf).all()) for leaf in answers[0])
    return {"outputs": len(answers[0]), "finite": finite, "changed_by_input": round(changed, 6)}


def check_named(name: str, cuts: int) -> dict[str, Any]:
    """The row of a model of the list."""
    return check(ENTRIES[name], cuts)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures that the bars speak of."""
    captured = [row for row in rows if row["captured"]]
    return {
        "models": len(rows),
        "captured": len(captured),
        "captured_fraction": round(len(captured) / len(rows), 4),
        "cuts": sum(row["tried"] for row in captured),
        "exact_cuts": sum(row["exact"] for row in captured),
        "models_exact": sum(row["exact"] == row["tried"] for row in captured),
        "models_batch3_correct": sum(row["batch3_correct"] == row["tried"] for row in captured),
        "batch3_correct_fraction": round(sum(row["batch3_correct"] == row["tried"] for row in captured) / len(rows), 4),
        "median_capture_s": sorted(row["capture_s"] for row in captured)[len(captured) // 2] if captured else None,
        "not_captured": {row["model"]: row["obstacle"] for row in rows if not row["captured"]},
        "not_exact": [row["model"] for row in captured if row["exact"] < row["tried"]],
        "not_correct_at_batch_3": [row["model"] for row in captured if row["batch3_correct"] < row["tried"]],
        "hollow": [row["model"] for row in captured if not row["finite"] or row["changed_by_input"] < 1e-4],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", help="comma-separated parts of names, whose rows take the place of the old; default: all"
    )
    parser.add_argument("--cuts", type=int, default=CUTS)
    parser.add_argument("--smoke", action="store_true", help="four models, nothing written")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    parts = options.models.split(",") if options.models else [""]
    names = list(SMOKE) if options.smoke else [name for name in ENTRIES if any(part in name for part in parts)]
    whole = not options.smoke and not options.models
    done = collect(functools.partial(check_named, cuts=options.cuts), names, TIMEOUT_S, PARTIAL if whole else None)
    rows = [{"captured": False} | done[name] for name in names]
    print(json.dumps(summary(rows), indent=1))
    if options.smoke:
        return
    old = result.RESULTS / "split_coverage.json"
    if not whole and old.exists():
        kept = {row["model"]: row for row in json.loads(old.read_text(encoding="utf-8"))["rows"]}
        kept |= {row["model"]: row for row in rows}
        rows = [kept[name] for name in ENTRIES if name in kept]
    settings = {"cuts": options.cuts, "threads": 1, "batch": 1} | ({} if whole else {"renewed_alone": names})
    result.write("split_coverage", rows, summary=summary(rows), **settings)
    PARTIAL.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
