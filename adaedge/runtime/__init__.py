"""What runs: link, terminal, edge server, session.

May import: ``errors``, ``operating_point``, ``energy``, ``channel``, ``payload``, ``engine``, ``bundle``,
``profiling``, ``scheduling``. Never torch.
"""

from adaedge.runtime.record import FrameRecord, Measurement, read_records, write_records

__all__ = ["FrameRecord", "Measurement", "read_records", "write_records"]
