"""Of how many models is a frame computed incrementally, and equal to dense?

Every model of the pinned list, wrapped at tolerance 0, sees four frames: random values; the same with a small square
of other values (a token, of a text); the first again; then with a square in another corner. `error` is the largest
difference from the eager model, relative to the largest value of an output (law 5: 1e-5). Calls are counted as free, so
that small inputs are taken in part as large ones would be: this benchmark asks what is right, not what is fast.
`equal`: within 1e-5 on all frames. `partial`: share of multiply-accumulates in segments that can be taken in part;
`share`: multiply-accumulates of the second frame, as a share of dense ones. A model runs incrementally where that is
below 1; the others run dense, and are named with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge import Incremental
from adaedge.stream.incremental import Costs
from benchmarks import result
from benchmarks.model_list import ENTRIES, Call, Entry, build
from benchmarks.split_coverage import difference
from benchmarks.worker import collect

EXACT = 1e-5
TIMEOUT_S = 600
SMOKE = ("timm:resnet18", "transformers:BertModel")
PARTIAL = result.RESULTS / "incremental_coverage.partial.jsonl"


def check(name: str) -> dict[str, Any]:
    """One row."""
    torch.backends.mha.set_fastpath_enabled(False)
    entry = ENTRIES[name]
    net = build(entry)
    frames = frames_of(entry)
    started = time.perf_counter()
    stream = Incremental(net, frames[0][0], kwargs=frames[0][1])
    row: dict[str, Any] = {"model": name, "wrap_s": round(time.perf_counter() - started, 2)}
    if stream.obstacle is not None:
        return row | {"obstacle": str(stream.obstacle)[:300]}
    plan = stream.runner.plan
    stream.runner.costs = free_calls(Costs.estimated(plan, call=0.0))
    errors, shares, cache = [], [], None
    for call in frames:
        output, cache = stream(*call[0], cache=cache, **call[1])
        errors.append(largest_error(net, call, output))
        shares.append(round(stream.stats.macs_share, 4))
    return row | {
        "error": max(errors),
        "equal": max(errors) <= EXACT,
        "segments": len(plan.segments),
        "partial": round(plan.partial_macs / max(1, plan.macs), 4),
        "share": shares[1],
        "shares": shares,
        "incremental": shares[1] < 1 and shares[1] > 0,
        "cache_bytes": cache.length_bytes if cache else 0,
    }


def free_calls(costs: Costs) -> Costs:
    """Never dense as a whole."""
    return Costs(float("inf"), costs.segments, 0.0)


def frames_of(entry: Entry) -> list[Call]:
    """Four calls; see above."""
    first, other = (entry.call(1, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    return [first, mixed(first, other, last=False), first, mixed(first, other, last=True)]


def mixed(first: Call, other: Call, *, last: bool) -> Call:
    """The first call with a corner of the other's values."""
    ours, spec = pytree.tree_flatten(first)
    theirs = pytree.tree_leaves(other)
    leaves = [
        cornered(a, b, last=last) if isinstance(a, torch.Tensor) else a for a, b in zip(ours, theirs, strict=True)
    ]
    args, kwargs = pytree.tree_unflatten(leaves, spec)
    return args, kwargs


def cornered(one: torch.Tensor, other: torch.Tensor, *, last: bool) -> torch.Tensor:
    """With an eighth of the last two dimensions replaced; of one that is short along the first, of the last only."""
    found = one.clone()
    where: list[slice] = [slice(None)] * one.dim()
    for axis in range(max(0, one.dim() - 2), one.dim()):
        length = one.shape[axis]
        width = max(1, length // 8) if axis == one.dim() - 1 or length > 8 else length
        where[axis] = slice(length - width, length) if last else slice(0, width)
    found[tuple(where)] = other[tuple(where)]
    return found


def largest_error(net: nn.Module, call: Call, output: Any) -> float:
    """Relative to the largest value of each output."""
    args, kwargs = pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, call)
    with torch.no_grad():
        expected, spec = pytree.tree_flatten(net(*args, **kwargs))
    got, got_spec = pytree.tree_flatten(output)
    if spec != got_spec:
        return float("inf")
    return max((difference(*pair) for pair in zip(got, expected, strict=True)), default=0.0)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures that the bar speaks of."""
    equal = [row for row in rows if row.get("equal")]
    running = [row for row in equal if row["incremental"]]
    return {
        "models": len(rows),
        "equal": len(equal),
        "incremental_and_equal": len(running),
        "incremental_and_equal_fraction": round(len(running) / len(rows), 4),
        "equal_or_dense_fraction": round(
            sum(bool(row.get("equal")) or "obstacle" in row for row in rows) / len(rows), 4
        ),
        "dense": {row["model"]: reason(row) for row in rows if row not in running},
        "median_share": sorted(row["share"] for row in running)[len(running) // 2] if running else None,
    }


def reason(row: dict[str, Any]) -> str:
    """Why a model is not computed in part, or is not equal."""
    if "obstacle" in row:
        return str(row["obstacle"])
    return "all positions are mixed from the first layer on" if row["equal"] else f"differs by {row['error']:.1e}"


def main() -> None:
    """Check them all, print the figures, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", help="comma-separated parts of names; nothing is written")
    parser.add_argument("--smoke", action="store_true", help="two models, nothing written")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    parts = options.models.split(",") if options.models else [""]
    names = list(SMOKE) if options.smoke else [name for name in ENTRIES if any(part in name for part in parts)]
    whole = not options.smoke and not options.models
    done = collect(check, names, TIMEOUT_S, PARTIAL if whole else None)
    rows = [done[name] for name in names]
    print(json.dumps(summary(rows), indent=1))
    if whole:
        result.write("incremental_coverage", rows, summary=summary(rows), bar=0.9, exact=EXACT)
        PARTIAL.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
