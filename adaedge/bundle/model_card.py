"""The model card of a bundle: what it is, how to run it, and what was measured of it.

May import: ``errors``, ``operating_point``; of this part ``entries``, ``manifest``.

The head of a card is YAML that the Hugging Face hub reads (https://huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import json

from adaedge.bundle.entries import PointEntry
from adaedge.bundle.manifest import Manifest
from adaedge.errors import ProfileError
from adaedge.operating_point import Profile

_TIMES = ("head", "encode", "decode", "tail")


def model_card(manifest: Manifest, repo_id: str, profile: Profile | None = None) -> str:
    """A card in Markdown.

    Args:
        manifest: of the bundle.
        repo_id: where it will stand.
        profile: of the bundle, on machines that its name tells: the table then has their times too.

    Raises:
        ProfileError: if the profile is of another bundle.

    Example:
        >>> card = model_card(Manifest("timm:resnet18", "0.1.0", (), (), {}, (), ()), "me/resnet18")
        >>> card.splitlines()[7]
        '# timm:resnet18, for a terminal and an edge server'
    """
    digest = manifest.sealed().digest
    if profile is not None and profile.bundle != digest:
        raise ProfileError(
            f"the profile is of bundle {profile.bundle[:12]}, this one is {digest[:12]}. Profile this one with"
            " `adaedge profile`."
        )
    name = manifest.model or "a model"
    lines = ["---", "library_name: adaedge", "tags:", "- adaedge", "- split-computing", "---", ""]
    lines += [f"# {name}, for a terminal and an edge server", ""]
    lines += [
        "A bundle of adaedge: the model cut at several places, so that a battery-powered"
        " terminal computes a part and an edge server the rest, or one of them all. Its files are JSON, safetensors and"
        f" ONNX; nothing in them is executed. Built by adaedge {manifest.adaedge}; SHA-256 of its manifest"
        f" `{digest}`.",
        "",
    ]
    if not manifest.trained:
        lines += ["**Its weights are random:** it shows times and bytes, not answers.", ""]
    lines += ["```python", "import adaedge", "", f"bundle = adaedge.Bundle.from_hub({json.dumps(repo_id)})", "```", ""]
    lines += ["## What was measured", "", *_about(manifest, profile), "", *_table(manifest, profile)]
    return "\n".join(lines) + "\n"


def _about(manifest: Manifest, profile: Profile | None) -> list[str]:
    """What the columns are."""
    scored = [entry.accuracy for entry in manifest.points if entry.accuracy is not None]
    lines = ["Sent: mean bytes of a frame's payload, header included; of a codec with a state, those of a refresh."]
    if scored:
        lines.append(
            f"Accuracy: {scored[0].metric} on {scored[0].samples} samples that the build was given, with its 95 %"
            " interval; in [0, 1], higher is better."
        )
    else:
        lines.append("Accuracy was not measured.")
    if profile is not None:
        lines.append(f"Times: medians in ms; head and encode on {profile.terminal}, decode and tail on {profile.edge}.")
    return lines


def _table(manifest: Manifest, profile: Profile | None) -> list[str]:
    columns = ["operating point", "sent, bytes", "accuracy", *(f"{name}, ms" for name in _TIMES if profile is not None)]
    rows = [[f"`{entry.point}`", *_measured(entry), *_times(entry, profile)] for entry in manifest.points]
    return [_row(columns), _row(["---", *("---:" for _ in columns[1:])]), *map(_row, rows)]


def _measured(entry: PointEntry) -> list[str]:
    found = entry.accuracy
    scored = "–" if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
    return [f"{entry.payload_bytes:.0f}", scored]


def _times(entry: PointEntry, profile: Profile | None) -> list[str]:
    if profile is None:
        return []
    cost = profile.get(entry.point)
    return [f"{1e3 * getattr(cost, f'{name}_s'):.2f}" if cost else "–" for name in _TIMES]


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
