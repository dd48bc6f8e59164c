"""A small network that answers locally where it is sure, and a large one for the rest, with a floor that holds.

    python -m recipes.cascade --images photos/ --student timm:mobilenetv2_050 -o out
    python -m recipes.cascade --images photos/ --student my_package.students:small --floor 0.97 --then blocks.3
    python -m recipes.cascade --smoke

Builds one bundle of both, calibrates on one half of the images from which sureness on the small network's answer may
stand (`adaedge.Cascade`: temperature, conformal risk control), and judges on the other half: how often it stands, the
agreement with the full network, and what that spares in multiply-accumulates. Writes ``out/cascade.json``, to be read
with `adaedge.Cascade.load`, and ``out/measured.json``. A folder in each of whose subfolders frames of one clip lie is
grouped by them: frames of a clip lose together.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

import adaedge
from adaedge import OperatingPoint, Splittable, models
from adaedge.bundle.frames import prepare

FIRST = OperatingPoint("output", network="student")


def read(folder: Path) -> tuple[list[np.ndarray], list[int]]:
    """Every image below a folder, and the number of the folder that it is in; each image its own where there is one."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in Image.registered_extensions())
    folders = sorted({path.parent for path in paths})
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    groups = [folders.index(path.parent) for path in paths]
    return images, groups if len(folders) > 1 else list(range(len(paths)))


def halves(groups: Sequence[int]) -> tuple[list[int], list[int]]:
    """Places of one half and of the other; a group is in one of them whole."""
    order = list(dict.fromkeys(groups))
    first = set(order[::2])
    return [at for at, group in enumerate(groups) if group in first], [
        at for at, group in enumerate(groups) if group not in first
    ]


def near(net: nn.Module) -> nn.Module:
    """For a run that only shows that the recipe works: the network with some noise in its weights."""
    torch.manual_seed(0)
    student = copy.deepcopy(net)
    with torch.no_grad():
        for weight in student.parameters():
            weight += 0.02 * weight.abs().mean() * torch.randn_like(weight)
    return student


def macs(net: nn.Module, args: tuple[Any, ...]) -> int:
    """Multiply-accumulates at one image."""
    return Splittable(net, args).points[-1].head_macs


def main(arguments: list[str] | None = None) -> None:
    """Read two networks and images, build, calibrate, judge, write."""
    asked = parser().parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    model = models.load("timm:test_resnet", pretrained=False) if asked.smoke else models.load(asked.model)
    if asked.smoke:
        student = near(model.module)
        images = [*np.random.default_rng(0).integers(0, 256, (48, 160, 160, 3), np.uint8)]
        groups, asked.floor = list(range(48)), 0.9
    else:
        student = models.load(asked.student).module
        images, groups = read(asked.images)
    frames = [prepare(image, model.preprocessing)[0] for image in images]
    fitted, others = halves(groups)

    splits, codecs = ([asked.then], ["raw", "u8"]) if asked.then else ([], ["raw"])
    space = adaedge.Space(splits, codecs=codecs, networks={"student": student})
    calibrate = [frames[at] for at in fitted[:64]]
    bundle = adaedge.build(
        model.module, model.args, space, calibrate=calibrate, preprocessing=model.preprocessing, kwargs=model.kwargs
    )
    then = OperatingPoint(asked.then, codec="u8") if asked.then else OperatingPoint("output")
    cascade = adaedge.Cascade.fit(
        bundle,
        [frames[at] for at in fitted],
        first=FIRST,
        then=then,
        floor=asked.floor,
        groups=[groups[at] for at in fitted],
    )
    judged = cascade.judge(bundle, [frames[at] for at in others], groups=[groups[at] for at in others])
    bundle.save(asked.out / "bundle")
    cascade.save(asked.out / "cascade.json")
    small, full = macs(student, model.args), macs(model.module, model.args)
    compute = (small + (1 - judged.share) * full) / full
    document = {"model": asked.model, "student": asked.student, "floor": asked.floor, "fitted": len(fitted)}
    document |= {"judged": len(others), "threshold": cascade.threshold, "temperature": cascade.temperature}
    document |= {"macs": {"student": small, "full": full}, "compute": compute, **asdict(judged)}
    text = json.dumps(document, indent=1).replace("Infinity", "null")
    (asked.out / "measured.json").write_text(text, encoding="utf-8")
    held = f"{judged.score.value:.1%} ({judged.score.low:.1%} to {judged.score.high:.1%})"
    print(f"stands for {judged.share:.1%}, agreement {held}, {compute:.1%} of the full network's MACs")  # noqa: T201


def parser() -> argparse.ArgumentParser:
    """The options."""
    raw = argparse.RawDescriptionHelpFormatter
    made = argparse.ArgumentParser("python -m recipes.cascade", description=__doc__, formatter_class=raw)
    made.add_argument("--model", default="timm:efficientnet_lite0", help="its trained weights must be installed")
    made.add_argument("--student", default="timm:mobilenetv2_050", help="the small network, of the same classes")
    made.add_argument("--images", type=Path, help="folder of images; one half calibrates, the other judges")
    made.add_argument("--floor", type=float, default=0.95, help="of the mean agreement with the full network")
    made.add_argument("--then", help="split point at which other frames go on to the edge; all at home without it")
    made.add_argument("-o", "--out", type=Path, default=Path("cascade"), help="folder for what is written")
    made.add_argument("--smoke", action="store_true", help="seconds, on noise: shows only that it works")
    return made


if __name__ == "__main__":
    main()
