"""Capture a model as one flat graph of functional operators, and compare it with the original.

May import: ``errors``. The batch is made dynamic where that works: a capture that fails, or that differs from the
original on a second random input of another batch size, is made again at the example's own batch.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from adaedge.errors import CaptureError, first_line
from adaedge.graph.functional import functional
from adaedge.graph.liveness import Liveness, analyse
from adaedge.graph.second_input import randomised, resized
from adaedge.graph.signature import Signature

# Relative to the largest value of an output. Attention's fused inference path, which eager takes and a trace cannot,
# differs from the captured one by about 1e-6.
TOLERANCE = 1e-4
_DEPENDS_ON_DATA = "data-dependent"
_SELECTING = ("SSD", "RetinaNet", "FCOS", "GeneralizedRCNN")


@dataclass(frozen=True, slots=True)
class Capture:
    """A model as a graph: flat tensors in, flat leaves out, no operator that writes to its inputs.

    Attributes:
        graph: the captured operators; its parameters and buffers are the original's own objects.
        signature: how arguments become the graph's inputs.
        out_spec: how the graph's outputs become the model's own structure.
        liveness: what crosses each place of the graph.
    """

    graph: fx.GraphModule
    signature: Signature
    out_spec: pytree.TreeSpec
    liveness: Liveness


def capture(net: nn.Module, signature: Signature, *, dynamic: bool = True) -> Capture:
    """Capture ``net`` in evaluation mode, with a dynamic batch if possible.

    Args:
        net: the model; nothing of it is changed.
        signature: the example call.
        dynamic: whether to try a dynamic batch first.

    Raises:
        CaptureError: if ``torch.export`` cannot capture the model, or captured it wrongly.
    """
    check_capturable(net)
    attempts = [signature]
    if dynamic and signature.batch:
        attempts.insert(0, replace(signature, dynamic=True))
    problem = CaptureError("nothing was tried")
    with undisturbed(net, signature):
        for attempt in attempts:
            try:
                return _captured(net, attempt)
            except CaptureError as error:
                problem = error
                if _DEPENDS_ON_DATA in str(error):
                    break  # another batch would not change that, and finding out takes as long again
    raise problem


def check_capturable(net: nn.Module) -> None:
    """Refuse detectors that end in a selection of boxes, before `torch.export` spends minutes on finding out.

    Raises:
        CaptureError: naming what can be captured of it.
    """
    for module in net.modules():
        forward = getattr(type(module), "forward", None)  # a scripted module's class has none
        kind = getattr(forward, "__qualname__", "").partition(".")[0]
        if kind not in _SELECTING or not str(forward.__module__).startswith("torchvision.models.detection"):
            continue
        if kind == "GeneralizedRCNN":
            raise CaptureError(
                f"{type(module).__name__} cannot be captured: its second stage looks at boxes that its first one finds,"
                " so that its graph differs from frame to frame. Take a detector of one stage (torchvision's SSD,"
                " RetinaNet, FCOS; transformers' DETR, YOLOS), or capture its `backbone`."
            )
        raise CaptureError(
            f"{type(module).__name__} cannot be captured whole: which boxes it selects depends on values."
            " `adaedge.build(detector, (images,))` splits that off by itself; to split the heads, wrap"
            " `adaedge.models.detector_of(detector, (images,)).heads`."
        )


def _captured(net: nn.Module, signature: Signature) -> Capture:
    # A dimension of length 1 would be specialised: export a dynamic batch with at least 2.
    batch = signature.batch if not signature.dynamic else max(2, signature.batch or 0)
    args, kwargs = signature.call(resized(signature, batch))
    try:
        shapes = _dynamic_shapes(net, signature)
        with contextlib.redirect_stderr(io.StringIO()):  # it prints every graph that it gives up on
            program = torch.export.export(net, args, kwargs, strict=False, dynamic_shapes=shapes)
            module = functional(program)
        graph = _flat(module)
        found = Capture(graph, signature, program.call_spec.out_spec, analyse(graph.graph))
    except CaptureError as error:
        raise CaptureError(f"{type(net).__name__} cannot be captured: {error}") from error
    except Exception as error:  # torch.export raises whatever the model's own code raised under it
        raise CaptureError(
            f"torch.export cannot capture {type(net).__name__}: {first_line(error)}{_way_out(error)}"
        ) from error
    if not {-1, max(len(found.liveness.steps), 1) - 1} <= found.liveness.crossing.keys():
        raise CaptureError(f"an input or output of {type(net).__name__} is a number computed from data, not a tensor")
    _verify(net, found)
    return found


def _way_out(error: Exception) -> str:
    if _DEPENDS_ON_DATA not in str(error):
        return ""
    return (
        ". What it does next depends on values, as a detector's selection of boxes does: put what comes before that"
        " into a module of its own, and capture that."
    )


def _dynamic_shapes(net: nn.Module, signature: Signature) -> dict[str, Any] | None:
    """Export wants one entry per parameter of ``forward``, nested like the argument."""
    if not signature.dynamic:
        return None
    marks = [{0: Dim.AUTO} if signature.is_batched(leaf) else None for leaf in signature.leaves]
    args, kwargs = pytree.tree_unflatten(marks, signature.spec)
    return dict(inspect.signature(net.forward).bind(*args, **kwargs).arguments)


def _flat(module: fx.GraphModule) -> fx.GraphModule:
    """The operators as a plain graph: without guards, assertions, constants as inputs, and write-backs to inputs."""
    graph = module.graph
    for node in reversed(list(graph.nodes)):
        is_constant = node.op == "placeholder" and not isinstance(node.meta.get("val"), torch.Tensor)
        if node.target is torch.ops.aten.copy_.default:  # writes back to an input that may also be returned
            node.replace_all_uses_with(node.args[1])
            graph.erase_node(node)
        elif is_constant or _is_check(node):
            graph.erase_node(node)
        elif node.op == "output":
            node.args = (tuple(pytree.tree_leaves(node.args[0])),)
    graph.set_codegen(fx.graph.CodeGen())
    graph.eliminate_dead_code()
    return fx.GraphModule(module, graph)


def _is_check(node: fx.Node) -> bool:
    name = str(node.target)
    return node.op in ("call_module", "call_function") and (
        name == "_guards_fn" or "_assert" in name or "sym_constrain_range" in name
    )


def _verify(net: nn.Module, found: Capture) -> None:
    signature = found.signature
    batches = [signature.batch]
    if signature.dynamic and signature.batch:
        batches.append(signature.batch + 2)
    for batch in batches:
        tensors, expected = _answer(net, signature, batch)
        try:
            got = _seeded(lambda tensors=tensors: found.graph(*tensors))
        except Exception as error:
            raise CaptureError(
                f"the capture of {type(net).__name__} fails at batch {batch}: {first_line(error)}"
            ) from error
        leaves, spec = pytree.tree_flatten(expected)
        if spec != found.out_spec or not all(_agree(*pair) for pair in zip(got, leaves, strict=True)):
            raise CaptureError(
                f"the capture of {type(net).__name__} differs from the model on a second input at batch {batch}:"
                " its forward takes another path for other values or sizes"
            )


def _answer(net: nn.Module, signature: Signature, batch: int | None) -> tuple[list[torch.Tensor], Any]:
    """A second input and the model's answer to it; the example itself where the model refuses random values."""
    problem: Exception | None = None
    for tensors in (randomised(signature, batch), resized(signature, batch)):
        args, kwargs = signature.call([tensor.clone() for tensor in tensors])
        try:
            return tensors, _seeded(lambda args=args, kwargs=kwargs: net(*args, **kwargs))
        except Exception as error:
            problem = error
    raise CaptureError(f"{type(net).__name__} itself fails at batch {batch}: {first_line(problem)}") from problem


def _seeded(run: Any) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        return run()


def _agree(got: Any, expected: Any) -> bool:
    if not isinstance(expected, torch.Tensor):
        return bool(got == expected)
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return False
    if not expected.is_floating_point() or expected.numel() == 0:
        return torch.equal(got, expected)
    scale = expected.abs().nan_to_num(0.0, 0.0, 0.0).max().item()
    return torch.allclose(got, expected, rtol=0.0, atol=TOLERANCE * scale, equal_nan=True)


@contextlib.contextmanager
def undisturbed(net: nn.Module, signature: Signature) -> Iterator[None]:
    """Evaluation mode, then every module's own mode again; buffers, random state, warnings and log levels likewise."""
    devices = sorted({tensor.device.index or 0 for tensor in signature.tensors if tensor.is_cuda})
    log = logging.getLogger("torch.fx.experimental.symbolic_shapes")
    level = log.level
    with (
        warnings.catch_warnings(), torch.random.fork_rng(devices), torch.enable_grad(), _same_buffers(net),
        evaluating(net),
    ):  # fmt: skip
        warnings.simplefilter("ignore")
        try:
            log.setLevel(logging.CRITICAL)
            yield
        finally:
            log.setLevel(level)


@contextlib.contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode, then every module's own mode again."""
    modes = {module: module.training for module in net.modules()}
    try:
        net.eval()
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextlib.contextmanager
def _same_buffers(net: nn.Module) -> Iterator[None]:
    """Whatever the model writes to its buffers, or puts in their places, is undone."""
    own = [(module, dict(module._buffers)) for module in net.modules()]
    values = [(buffer, buffer.detach().clone()) for buffer in net.buffers() if not is_lazy(buffer)]
    try:
        yield
    finally:
        for module, buffers in own:
            module._buffers.clear()
            module._buffers.update(buffers)
        with torch.no_grad():
            for buffer, value in values:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
