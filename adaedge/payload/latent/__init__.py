"""Latents ⇄ bytes: a fitted bottleneck as arrays, its exact integer transform, its tables, its stream.

May import: ``errors``; of ``payload`` ``wire``. Needs no torch: terminal and edge server run it as it is.
"""

from adaedge.payload.latent.codec import FoldedCodec, LatentCodec
from adaedge.payload.latent.coefficients import coefficients, features, moved, variances
from adaedge.payload.latent.delta import DeltaCodec, DeltaReference
from adaedge.payload.latent.layout import Layout
from adaedge.payload.latent.stream import compress, decompress, predicted_bytes
from adaedge.payload.latent.tables import Tables
from adaedge.payload.latent.transform import TransformCode

__all__ = [
    "DeltaCodec",
    "DeltaReference",
    "FoldedCodec",
    "LatentCodec",
    "Layout",
    "Tables",
    "TransformCode",
    "coefficients",
    "compress",
    "decompress",
    "features",
    "moved",
    "predicted_bytes",
    "variances",
]
