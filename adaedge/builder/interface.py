"""What a model takes, returns and answers: the part of a manifest that does not depend on what is built.

May import: ``operating_point``, ``payload``, ``bundle``, ``graph``; of this part ``frames``, ``output_structure``,
``partition``.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from adaedge.builder.frames import ExampleCall
from adaedge.builder.output_structure import structure_of
from adaedge.builder.partition import Exported
from adaedge.bundle import Manifest
from adaedge.bundle.answers import AnswerFormat
from adaedge.graph import Splittable
from adaedge.operating_point import INPUT
from adaedge.payload.answers import Boxes, default_answer


def with_interface(
    about: Manifest, answer: str | None, call: ExampleCall, splittable: Splittable, exported: Exported
) -> Manifest:
    """The manifest with inputs, outputs, their nesting, and the answer codec.

    Args:
        about: the manifest, without what is built.
        answer: name of the answer codec; ``None`` for the default of the outputs.
        call: how the model is called.
        splittable: the full network, captured.
        exported: the same as a graph.

    Raises:
        CodecError: if the answer codec makes no answer of the outputs, or the outputs are not those that the
            post-processing takes.
    """
    head, tail = splittable.at(INPUT)
    args, kwargs = call.example
    with torch.no_grad():
        structure = structure_of(tail(*head(*args, **kwargs)))
    outputs = exported.outputs
    if about.postprocessing is not None:
        about.postprocessing.check_heads([spec.shape for spec in outputs])
        answer = answer or Boxes().name
    answer = answer or default_answer(outputs, about.labels)
    found = replace(about, inputs=exported.inputs, outputs=outputs, answer=answer, structure=structure)
    AnswerFormat(found).specs  # noqa: B018 -- refuses what does not fit
    return found
