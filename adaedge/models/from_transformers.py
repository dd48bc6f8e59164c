"""Models of transformers: a class with random weights, a folder, or a name on the hub.

May import: ``errors``, ``bundle.manifest``.
"""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from adaedge.bundle.preprocessing import Preprocessing
from adaedge.errors import ModelError
from adaedge.models.construction import made, trained_or_random, unknown
from adaedge.models.model import Model, imagenet_labels, known_interpolation, random_example

_TOKENS, _ANSWER_TOKENS, _SAMPLES = 16, 8, 16000
_DETECTION, _PROCESSOR = "ForObjectDetection", "preprocessor_config.json"
_RESAMPLING = {2: "bilinear", 3: "bicubic"}


def load(name: str, pretrained: bool, arguments: dict[str, Any]) -> Model:
    """A transformers model, never with a cache of keys and values.

    Raises:
        ModelError: if there is no such class, folder or name within reach, or the arguments do not fit it.
    """
    kind: Any = getattr(transformers, name, None)
    is_class = isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel)
    config = _config_of_class(name, kind, arguments) if is_class else _config(name, arguments)
    module, trained = _module(name, pretrained, kind if is_class else _class(config), config)
    config.use_cache = False
    args, kwargs = _example(module, config)
    preprocessing, frames = _preprocessing(Path(name)), getattr(config, "num_frames", 1)
    if type(module).__name__.endswith(_DETECTION) and args:
        size = _for_detector(preprocessing, config, Path(name))
        args, kwargs = (random_example((args[0].shape[1], *size)),), {}
        preprocessing = preprocessing and replace(preprocessing, size=size, crop=1.0, fit="stretch")
    if preprocessing is not None and args and args[0].dim() == 5:
        preprocessing = replace(preprocessing, frames=frames)
    return Model(name, module, args, kwargs, preprocessing, _labels(module, config), trained)


def _module(name: str, pretrained: bool, kind: Any, config: Any) -> tuple[nn.Module, bool]:
    label = f"transformers:{name}"
    random = partial(made, label, partial(kind._from_config, config), {})
    if not pretrained:
        return random(), False

    def trained() -> nn.Module:
        if hasattr(transformers, name):
            raise OSError("a class has none; a folder or a name on the hub may")
        module: nn.Module = kind.from_pretrained(name, config=config, use_safetensors=True)
        return module

    return trained_or_random(label, trained, random)


def _config_of_class(name: str, kind: Any, arguments: dict[str, Any]) -> Any:
    return made(f"transformers:{name}", partial(kind.config_class, **arguments), arguments)


def _config(name: str, arguments: dict[str, Any]) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(name, **arguments)
    except (OSError, ValueError) as error:
        classes = [entry for entry in dir(transformers) if "For" in entry or entry.endswith("Model")]
        problem = str(unknown(name, "transformers", classes))
        raise ModelError(
            f"{problem}; nor is it a folder or a name on the hub within reach. Give a class, a folder that"
            " `save_pretrained` wrote, or a name on the hub with a network."
        ) from error


def _class(config: Any) -> Any:
    named = [getattr(transformers, entry, None) for entry in config.architectures or ()]
    return next((kind for kind in named if kind is not None), None) or transformers.MODEL_MAPPING[type(config)]


def _example(module: nn.Module, config: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One example of what ``forward`` takes, by the names that transformers gives its inputs."""
    parameters = list(inspect.signature(module.forward).parameters)
    main = getattr(module, "main_input_name", "input_ids")
    wanted = {main} | ({"pixel_values", "input_ids"} if hasattr(config, "vision_config") else set())
    given: dict[str, Any] = {key: _input(key, config) for key in parameters if key in wanted}
    if getattr(config, "is_encoder_decoder", False) and "decoder_input_ids" in parameters:
        given["decoder_input_ids"] = _tokens(config, _ANSWER_TOKENS)
    if "use_cache" in parameters:
        given["use_cache"] = False
    first = parameters[0] == main and main == "pixel_values"
    return ((given.pop(main),) if first else ()), given


def _for_detector(preprocessing: Preprocessing | None, config: Any, folder: Path) -> tuple[int, int]:
    """Height and width that a frame is stretched to: a fixed size that is told, else that of a camera's frame."""
    told = json.loads((folder / _PROCESSOR).read_text(encoding="utf-8"))["size"] if preprocessing else {}
    own = getattr(config, "image_size", None) or (480, 640)
    if "height" in told:
        return _pair(told)
    return (own, own) if isinstance(own, int) else (int(own[0]), int(own[1]))


def _input(key: str, config: Any) -> torch.Tensor:
    if key == "input_ids":
        return _tokens(config, _TOKENS)
    if key == "input_features":
        return random_example((config.num_mel_bins, 2 * getattr(config, "max_source_positions", 1500)))
    if key == "input_values":
        mels = getattr(config, "num_mel_bins", None)
        return random_example((config.max_length, mels) if mels else (_SAMPLES,))
    vision = getattr(config, "vision_config", config)
    size = getattr(vision, "image_size", None) or 224
    height, width = size if isinstance(size, list | tuple) else (size, size)
    frames = [vision.num_frames] if hasattr(vision, "num_frames") else []
    return random_example((*frames, getattr(vision, "num_channels", 3), height, width))


def _tokens(config: Any, length: int) -> torch.Tensor:
    vocabulary = getattr(config.get_text_config(), "vocab_size", 100)
    return torch.randint(0, vocabulary, (1, length), generator=torch.Generator().manual_seed(0))


def _labels(module: nn.Module, config: Any) -> tuple[str, ...]:
    if not type(module).__name__.endswith(("Classification", _DETECTION)):
        return ()
    names = tuple(config.id2label[index] for index in sorted(config.id2label))
    return imagenet_labels(len(names)) if names[:1] == ("LABEL_0",) else names


def _preprocessing(folder: Path) -> Preprocessing | None:
    """From the folder's ``preprocessor_config.json``; ``None`` where it has none for images."""
    file = folder / _PROCESSOR
    if not file.is_file():
        return None
    told = json.loads(file.read_text(encoding="utf-8"))
    resized = told.get("size")
    if not resized or "image_mean" not in told:
        return None
    short = _pair(resized)
    size = _pair(told["crop_size"]) if told.get("do_center_crop") and told.get("crop_size") else short
    return Preprocessing(
        size=size,
        crop=size[0] / short[0],
        interpolation=known_interpolation(_RESAMPLING.get(told.get("resample", 2), "bilinear")),
        mean=tuple(told["image_mean"]),
        std=tuple(told["image_std"]),
    )


def _pair(size: int | dict[str, int]) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    short = size.get("shortest_edge")
    return (short, short) if short else (size["height"], size["width"])
