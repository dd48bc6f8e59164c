"""Answer codecs: what becomes of a model's outputs before they cross back, and how they are written.

May import: ``errors``; of ``payload`` the ``entropy`` coder, ``tensors``, ``wire``.

    raw, raw+zstd     every value as it is; the second compressed with zstd at level 1
    f16, f16+zstd     floating-point values in half precision; the rest as it is
    u8+zstd           floating-point values in 256 levels between a tensor's lowest and highest; the rest as it is
    labels            logits (N, C, h, w) → the class of each position, (N, h, w)
    labels@HxW        likewise, interpolated to (H, W) before: bilinear, pixels are areas (PyTorch's default)
    labels-aligned@HxW  likewise, the corners' centres fall on each other (``align_corners=True``)
    boxes             boxes, scores and labels of what was found → corners in steps, int16, scores float16, labels
    best@K            class scores (N, C) → the K best: indices int32 (N, K), best first, and scores float16 (N, K)

``reduce`` makes the answer of the outputs, wherever they were computed; ``encode`` and ``decode`` carry it as it is. So
a user gets the same from the edge server and from the terminal itself: decode(encode(reduce(y))) equals reduce(y), bit
for bit.
"""

from adaedge.payload.answers.best import Best
from adaedge.payload.answers.boxes import Boxes
from adaedge.payload.answers.by_name import AnswerCodec, answer_codec, default_answer
from adaedge.payload.answers.labels import LabelMap
from adaedge.payload.answers.levels import Levels
from adaedge.payload.answers.values import Values

__all__ = ["AnswerCodec", "Best", "Boxes", "LabelMap", "Levels", "Values", "answer_codec", "default_answer"]
