"""The exception tree: what its docstring draws is what there is."""

from __future__ import annotations

import inspect
import re

import adaedge.errors as errors


def drawn():
    """Each error in the drawing and the one that it hangs from."""
    stack, parents = [], {}
    for line in errors.__doc__.splitlines():
        if match := re.match(r"^(    [\s│├└─]*)([A-Z]\w+Error)\b", line):
            depth = len(match[1]) // 4
            del stack[depth - 1 :]
            parents[match[2]] = stack[-1] if stack else "Exception"
            stack.append(match[2])
    return parents


def test_the_drawing_is_the_tree():
    defined = {
        name: member.__mro__[1].__name__
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if member.__module__ == errors.__name__
    }
    assert drawn() == defined


def test_everything_raised_on_purpose_has_one_base():
    for name in drawn():
        assert issubclass(getattr(errors, name), errors.AdaedgeError)
        assert getattr(errors, name).__doc__
