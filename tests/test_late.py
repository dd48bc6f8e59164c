"""What a terminal does not need is not imported before it is used."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

LAZY = ["adaedge.channel", "adaedge.energy", "adaedge.payload", "adaedge.runtime"]


@pytest.mark.parametrize("package", LAZY)
def test_each_name_is_found_and_listed(package):
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is vars(module)[name]


@pytest.mark.parametrize("package", LAZY)
def test_a_name_that_is_not_there_is_refused(package):
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match=rf"^{package} has no 'Trase'; it has: ") as caught:
        module.Trase  # noqa: B018
    listed = str(caught.value).partition("it has: ")[2].split(", ")
    assert listed == sorted(module.__all__)


def test_a_module_is_imported_when_its_name_is_first_used():
    program = """
import sys, adaedge.runtime
assert "adaedge.runtime.server" not in sys.modules and "server" not in vars(adaedge.runtime)
from adaedge.runtime import EdgeServer, server
assert server.EdgeServer is EdgeServer is vars(adaedge.runtime)["EdgeServer"]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
