"""Symbols ⇄ 32-bit words by an entropy coder, the same words on every machine.

May import: ``errors``.

The range variant of asymmetric numeral systems (J. Duda, arXiv:1311.2540) in integers. Its loops are in C (`_ans.c`, an
optional extension) and, where that was not built, in Python (`plain`): each reads what the other writes.
"""

from adaedge.payload.entropy.stack import Stack
from adaedge.payload.entropy.tables import TOTAL, FrequencyTables

__all__ = ["TOTAL", "FrequencyTables", "Stack"]
