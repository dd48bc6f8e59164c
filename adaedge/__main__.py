"""``python -m adaedge`` is ``adaedge``."""

from adaedge.cli import main

main()
