"""The networks of a bundle, captured at their full width: where each is cut, and with which codecs.

May import: ``errors``, ``operating_point``, ``graph``, ``bundle``; of this part ``point_choice``, ``fitting_codecs``,
``frames``, ``output_structure``, ``outer_names``, ``samples``, ``space``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import nn
from torch.utils import _pytree as pytree

from adaedge.builder import point_choice
from adaedge.builder.fitting_codecs import check_fits, check_own, codecs_for
from adaedge.builder.frames import ExampleCall
from adaedge.builder.outer_names import find_points, has_point, outer
from adaedge.builder.output_structure import structure_of
from adaedge.builder.samples import Samples
from adaedge.builder.space import RAW, Space
from adaedge.bundle.batches import listed
from adaedge.bundle.structure import Structure
from adaedge.errors import CaptureError, CodecError, LevelError, ModelError
from adaedge.graph import Splittable
from adaedge.graph.capture import undisturbed
from adaedge.graph.signature import Signature
from adaedge.operating_point import FULL


@dataclass(frozen=True, slots=True)
class Network:
    """One network of a bundle.

    Attributes:
        splittable: it, captured at its full width.
        space: what of the space is this network's, all dimensions named; its splits are those that it has.
        codecs: split point → names of the codecs that fit there, in execution order.
    """

    splittable: Splittable
    space: Space
    codecs: Mapping[str, tuple[str, ...]]


def settled(
    captured: Mapping[str, Splittable], space: Space, named: Space, call: ExampleCall, samples: Samples
) -> dict[str, Network]:
    """Settle split points and codecs of each network, now that what crosses in it is known.

    Args:
        captured: name → network at its full width, the full network first.
        space: what to build; widths and precisions are settled.
        named: what of it the user named; ``None`` for a dimension that was chosen.
        call: how they are called.
        samples: pictures and clips.

    Raises:
        CaptureError: if the full network cannot be captured, and no network has a split point that was named.
        SplitError: if no network has it.
        CodecError: if no codec can carry what crosses at one of them, or a codec fits nowhere.
    """
    _check_splits(captured, space.splits or (), call.wrapped)
    otherwise = (RAW,) if named.codecs is None else ()
    networks, built = {}, []
    for name, splittable in captured.items():
        own = _split(splittable, space.of(name), call.wrapped, samples)
        points = [
            outer(point, call.wrapped) for point in find_points(splittable, own.splits or (), wrapped=call.wrapped)
        ]
        check_own(points, own)
        with telling(name):
            networks[name] = Network(
                splittable, own, {point.name: codecs_for(point, own, otherwise) for point in points}
            )
        built += points
    check_fits(built, named.codecs or ())
    return networks


def _check_splits(captured: Mapping[str, Splittable], splits: Sequence[str], wrapped: bool) -> None:
    """Refuse the name of a split point that no network has."""
    nowhere = [name for name in splits if not any(has_point(one, name, wrapped=wrapped) for one in captured.values())]
    full = captured[FULL]
    if nowhere and full.obstacle is not None:
        raise full.obstacle
    find_points(full, nowhere, wrapped=wrapped)


def _split(splittable: Splittable, space: Space, wrapped: bool, samples: Samples) -> Space:
    if space.splits is not None:
        space = replace(space, splits=[name for name in space.splits if has_point(splittable, name, wrapped=wrapped)])
    points = [outer(point, wrapped) for point in splittable.points]
    return point_choice.with_splits(space, points, calibrated=bool(samples), clips=samples.has_clips)


@contextmanager
def telling(network: str) -> Iterator[None]:
    """Say of an error which network it is about, where that is not the full one."""
    try:
        yield
    except (CaptureError, CodecError, LevelError) as error:
        if network == FULL:
            raise
        raise type(error)(f"the network {network!r}: {error}") from error


class _Form(NamedTuple):
    tensors: list[tuple[str, tuple[int, ...]]]
    structure: Structure


def check_alike(net: nn.Module, networks: Mapping[str, nn.Module], call: ExampleCall) -> None:
    """Refuse a network that does not take the full one's inputs, or whose answer has another form.

    Args:
        net: the full network.
        networks: name → a further one.
        call: how they are called.

    Raises:
        ModelError: if there is one.
    """
    expected = _form(net, call) if networks else None
    for name, network in networks.items():
        try:
            found = _form(network, call)
        except Exception as error:  # whatever the user's own code raises
            raise ModelError(
                f"the network {name!r} does not take the example ({type(error).__name__}: {error}). All networks of a"
                " bundle take the same inputs: wrap it in a module that does."
            ) from error
        if found != expected:
            raise ModelError(
                f"the network {name!r} answers {_in_words(found)}; the full network answers {_in_words(expected)}."
                " All networks of a bundle answer in one form: wrap it in a module that does, or build it alone."
            )


def _form(net: nn.Module, call: ExampleCall) -> _Form:
    """Types, shapes and structure of what a network returns for the example."""
    with undisturbed(net, Signature.of(call.args, call.kwargs)), torch.no_grad():
        answer = net(*call.args, **call.kwargs)
    tensors = [leaf for leaf in pytree.tree_leaves(answer) if isinstance(leaf, torch.Tensor)]
    types = [(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)) for tensor in tensors]
    return _Form(types, structure_of(answer))


def _in_words(form: _Form | None) -> str:
    return "nothing" if form is None else f"{listed(form.tensors)} as {form.structure}"
