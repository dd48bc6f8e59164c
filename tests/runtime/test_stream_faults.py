"""The short version of ``benchmarks/stream_faults.py``: one fault of each kind, and forty streams that are left."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_no_fault_makes_a_wrong_picture_or_leaves_a_frame_without_its_answer():
    command = [sys.executable, "-m", "benchmarks.stream_faults", "--smoke"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=290, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    faults = [row for row in rows["faults"] if row["fault"] != "none"]
    assert sum(row["injected"] for row in faults) == len(faults) == 13
    for row in faults:
        wrong = ("without_an_answer", "wrong_answers", "wrong_reconstructions", "link_down_after_stale")
        assert [row[name] for name in wrong] == [0] * 4, row
        assert row["decoded_by_the_edge"] > 0
        if row["fault"] not in ("restarted while idle", "killed", "stopped"):  # a busy machine may take its time
            assert row["offloads_until_accepted"] == {"1": 1}, row
            assert row["accepted_as_a_refresh"] == 1, row
    (memory,) = rows["edge_memory"]
    assert memory["resident_growth_bytes"] < 1.2 * memory["max_bytes"]
    assert memory["first_stream_after"] == "edge"
