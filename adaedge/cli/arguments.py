"""Options of ``build`` and ``inspect`` that hold more than one value, as Python has them.

May import: ``errors``; inside the functions: ``bundle``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from adaedge.errors import LevelError, ModelError

if TYPE_CHECKING:
    from adaedge.bundle.preprocessing import Preprocessing


def preprocessing_of(own: Preprocessing | None, text: str) -> Preprocessing | None:
    """The model's own geometry and normalisation, with what `--preprocessing` says instead.

    Raises:
        ModelError: if it is no JSON object, or has other keys.
    """
    from adaedge.bundle.preprocessing import Preprocessing

    given: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in json_object(text, "--preprocessing").items()
    }
    if not given:
        return own
    names = [field.name for field in fields(Preprocessing)]
    if odd := set(given) - set(names):
        raise ModelError(f"--preprocessing takes {', '.join(names)}; got {', '.join(sorted(odd))}")
    changed: Preprocessing = replace(own or Preprocessing(), **given)
    return changed


def networks_by_name(networks: Sequence[str]) -> dict[str, str]:
    """The networks of `--network`: name → model.

    Raises:
        ModelError: if one is not NAME=MODEL, or a name stands twice.
    """
    found: dict[str, str] = {}
    for text in networks:
        name, equals, model = text.partition("=")
        if not (name and equals and model) or name in found:
            raise ModelError(
                f"--network takes NAME=MODEL, each name once, such as student=timm:resnet10t; got {text!r}"
            )
        found[name] = model
    return found


def check_same_pixels(name: str, own: Preprocessing | None, given: Preprocessing | None) -> None:
    """Refuse a network that wants its pixels normalised in another way than the bundle's graphs do it.

    Raises:
        ModelError: if it does.
    """
    if own and given and (own.mean, own.std) != (given.mean, given.std):
        raise ModelError(
            f"the network {name!r} wants pixels of mean {own.mean} and standard deviation {own.std}; the model's are"
            f" {given.mean} and {given.std}. Wrap it in a module that rescales them, and name that as"
            " package.module:callable."
        )


def names(text: str | None) -> tuple[str, ...] | None:
    """Comma-separated names; ``None`` where the option was not given."""
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def fractions(text: str | None) -> tuple[float, ...] | None:
    """Comma-separated fractions; ``None`` where the option was not given.

    Raises:
        LevelError: if one is no number.
    """
    try:
        return None if text is None else tuple(map(float, names(text) or ()))
    except ValueError as error:
        raise LevelError(f"--widths takes fractions of channels, such as 1,0.5; got {text!r}") from error


def json_object(text: str, option: str) -> dict[str, Any]:
    """An option that is a JSON object.

    Raises:
        ModelError: if it is none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{option} takes a JSON object; {text!r} is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelError(f"{option} takes a JSON object, such as '{{\"num_classes\": 10}}'; got {text!r}")
    return value
