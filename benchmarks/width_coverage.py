"""How many models of the pinned list become narrower, how much smaller do they get, and is every slice right?

Each model is wrapped at width 0.5, in a process that is started again when a model kills it or takes too long.
`macs_ratio`: of width 0.5, at the example. `law3`: largest difference of width 0.5 from the full network with the
other channels zero, on an input other than the example and at another batch size, relative to the largest output;
`law3_effect`: relative to what zeroing them changes. `identity`: the same of width 1 from the plain network.
`gradients`: parameters that get a gradient through width 0.5, of those that get one in the plain network. `extracted`:
whether `extract(0.5)` answers bit for bit what the shared level does.

Some networks of the list are so small that what works on their residual stream, which stays whole, is a good part of
the work: the projection of patches, depthwise convolutions. `PROPORTIONATE` has three of them at published proportions.
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

from adaedge import Elastic
from adaedge.levels.masks import masking
from benchmarks import result
from benchmarks.model_list import ENTRIES, Call, Entry, build, image, timm_entry, transformers_entry
from benchmarks.worker import collect

WIDTH, ENOUGH, RIGHT = 0.5, 0.55, 1e-4
TIMEOUT_S = 1800
SMOKE = ("timm:resnet18", "timm:mobilenetv2_100", "timm:vit_tiny_patch16_224", "transformers:SwinModel")
PARTIAL = result.RESULTS / "width_coverage.partial.jsonl"
_SMALL = {"hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536, "image_size": 64, "num_frames": 4}


def _frames(batch: int, generator: torch.Generator) -> Call:
    return (torch.rand(batch, 4, 3, 64, 64, generator=generator),), {}


def _renamed(entry: Entry, name: str) -> Entry:
    return Entry(name, entry.make, entry.call)


PROPORTIONATE = {
    entry.name: entry
    for entry in (
        _renamed(
            transformers_entry(
                "ViTForImageClassification",
                image(64),
                **{key: value for key, value in _SMALL.items() if key != "num_frames"},
            ),
            "transformers:ViTForImageClassification, small",
        ),
        _renamed(
            transformers_entry("VideoMAEForVideoClassification", _frames, **_SMALL),
            "transformers:VideoMAEForVideoClassification, small",
        ),
        timm_entry("convnext_tiny", 64),
    )
}


def check(name: str) -> dict[str, Any]:
    """One row."""
    entry = (ENTRIES | PROPORTIONATE)[name]
    net = build(entry)
    args, kwargs = entry.call(1, torch.Generator().manual_seed(1))
    started = time.perf_counter()
    elastic = Elastic(net, args, (1.0, WIDTH), kwargs=kwargs)
    seconds = time.perf_counter() - started
    narrow = elastic.level(WIDTH)
    full, small = elastic.macs(1.0), elastic.macs(WIDTH)
    expected = _outputs(net, entry)
    found = _outputs(narrow, entry)
    with masking(elastic.net, elastic.groups, elastic.kept(WIDTH)):
        masked = _outputs(elastic.net.train().eval(), entry)  # trained and back: nothing stays cached
    elastic.net.train().eval()
    elastic.eval()
    return {
        "model": name,
        "seconds": round(seconds, 1),
        "groups": len(elastic.groups),
        "macs": full,
        "macs_ratio": round(small / full, 4),
        "law3": _difference(found, masked, masked),
        "law3_effect": _difference(found, masked, _minus(masked, expected)),
        "identity": _difference(_outputs(elastic.level(1.0), entry), expected, expected),
        "extracted": all(map(torch.equal, _outputs(elastic.extract(WIDTH).eval(), entry), found)),
        "gradients": _gradients(elastic, narrow, net, entry),
        "skipped": elastic.skipped,
    }


def _outputs(net: nn.Module, entry: Entry) -> list[torch.Tensor]:
    args, kwargs = entry.call(2, torch.Generator().manual_seed(2))
    with torch.no_grad():
        return _floats(net(*args, **kwargs))


def _floats(output: Any) -> list[torch.Tensor]:
    leaves = pytree.tree_leaves(output)
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() and leaf.numel()]


def _minus(ones: list[torch.Tensor], others: list[torch.Tensor]) -> list[torch.Tensor]:
    return [one - other for one, other in zip(ones, others, strict=True)]


def _difference(found: list[torch.Tensor], expected: list[torch.Tensor], scale: list[torch.Tensor]) -> float:
    """The largest difference relative to the largest value of the scale."""
    worst = 0.0
    for one, other, unit in zip(found, expected, scale, strict=True):
        if one.shape != other.shape:
            return float("inf")
        error = float((one - other).abs().max())
        if not error <= worst * float(unit.abs().max()):  # not a number is the worst
            worst = error / max(float(unit.abs().max()), 1e-30)
    return worst


def _gradients(elastic: Elastic, narrow: nn.Module, net: nn.Module, entry: Entry) -> str:
    """How many of the parameters that the plain network trains, a step at the narrow level trains."""
    reached = []
    elastic.zero_grad()
    for run, owner in ((narrow, elastic.net), (net, net)):
        args, kwargs = entry.call(2, torch.Generator().manual_seed(2))
        sum(leaf.square().mean() for leaf in _floats(run(*args, **kwargs)) if leaf.requires_grad).backward()
        reached.append({name for name, parameter in owner.named_parameters() if parameter.grad is not None})
    through, plain = reached
    return f"{len(through & plain)}/{len(plain)}"


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures that the bar speaks of."""
    made = [row for row in rows if "obstacle" not in row]
    right = [row for row in made if row["law3"] <= RIGHT and _whole(row["gradients"]) and row["extracted"]]
    enough = [row for row in right if row["macs_ratio"] <= ENOUGH]
    return {
        "models": len(rows),
        "narrowed": len(made),
        "right": len(right),
        f"at_most_{ENOUGH}_of_macs": len(enough),
        "names": [row["model"] for row in enough],
        "others": {row["model"]: row["macs_ratio"] for row in right if row not in enough},
        "not_right": [row["model"] for row in made if row not in right],
        "not_narrowed": {row["model"]: row["obstacle"] for row in rows if "obstacle" in row},
    }


def _whole(fraction: str) -> bool:
    part, _, whole = fraction.partition("/")
    return part == whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", help="comma-separated parts of names, whose rows take the place of the old; default: all"
    )
    parser.add_argument("--smoke", action="store_true", help="four models, nothing written")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    everything = [*ENTRIES, *PROPORTIONATE]
    parts = options.models.split(",") if options.models else [""]
    names = list(SMOKE) if options.smoke else [name for name in everything if any(part in name for part in parts)]
    whole = not options.smoke and not options.models
    rows = list(collect(check, names, TIMEOUT_S, None if options.smoke else PARTIAL).values())
    if options.smoke:
        print(json.dumps(summary(rows), indent=1))
        return
    old = result.RESULTS / "width_coverage.json"
    if not whole and old.exists():
        kept = {row["model"]: row for row in json.loads(old.read_text(encoding="utf-8"))["rows"]}
        kept |= {row["model"]: row for row in rows}
        rows = [kept[name] for name in everything if name in kept]
    print(json.dumps(summary(rows), indent=1))
    settings = {"width": WIDTH, "threads": 1} | ({} if whole else {"renewed_alone": names})
    result.write("width_coverage", rows, summary=summary(rows), **settings)
    PARTIAL.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
