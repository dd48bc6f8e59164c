"""One question each. Run as ``python -m benchmarks.NAME``; results go to ``benchmarks/results/NAME.json``."""
