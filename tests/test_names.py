"""Names of modules: nouns, and each once."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import adaedge

ROOT = Path(adaedge.__file__).parent
# Terms of the field, and words that only look like a gerund or participle: each with its reason.
TERMS = {
    "distillation/training": "the field's word",
    "extras/missing": "an adjective: the packages that are missing",
    "profiling": "the field's word: what a profiler does",
    "profiling/timing": "the field's word: a measurement of time",
    "scheduling": "the field's word: what a scheduler does",
    "scheduling/probing": "the field's word: active measurement of a link",
    "runtime/preloading": "the field's word",
    "bundle/preprocessing": "the field's word, and a field of the manifest",
    "detection/postprocessing": "the field's word, and a field of the manifest",
    "report/formatting": "the field's word",
    "stream/filtering": "the field's word: temporal filtering",
    "matrix/pruning": "the field's word: branches that cannot win are cut",
}
# Basenames that stand more than once, and what they mean everywhere.
SHARED = {
    "answers": "answers: as a bundle gives them, as a payload carries them",
    "boxes": "rectangles",
    "demo": "the demo, and its extra",
    "incremental": "the part that prepares it, and the one that runs it",
    "levels": "levels",
    "page": "one HTML page",
    "plan": "a plan of that part",
    "by_name": "finds one by its name",
    "changes": "amounts of change",
    "codec": "the codec of that part",
    "codecs": "the codecs of that part",
    "costs": "what parts of a network cost",
    "tokens": "a transformer's changed tokens: the part that prepares them, and the one that runs them",
    "frames": "frames as that part takes them",
    "losses": "loss functions",
    "model": "the model of that part",
    "prepare": "the extra, and the commands that need it",
    "reference": "what both ends hold",
    "show": "what a person sees",
    "signal": "a modem's signal",
    "storage": "a bottleneck on disk",
    "stream": "a stream of that part",
    "subgraphs": "heads and tails: as modules, and as parts of an ONNX graph",
    "table": "a table of that part",
    "tables": "tables of that part",
    "transform": "the transform of a bottleneck, in training and in integers",
    "verification": "holds what was made against the model",
    "weights": "parameters",
    "window": "a window of that part",
    "wire": "a byte format",
}


def modules():
    return sorted(
        path.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/__init__")
        for path in ROOT.rglob("*.py")
        if path != ROOT / "__init__.py"
    )


def test_modules_are_nouns():
    odd = {name for name in modules() if re.search(r"(ing|ed)$", name.rpartition("/")[2])}
    assert odd - set(TERMS) == set(), "name a module by a noun, or say here why the word is the field's"
    assert set(TERMS) - odd == set(), "there is no such module any more: take it out"


def test_a_basename_stands_once_unless_it_means_the_same():
    found = defaultdict(list)
    for name in modules():
        found[name.rpartition("/")[2]].append(name)
    own = {name: [place for place in places if place != f"{name}/{name}"] for name, places in found.items()}
    twice = {name: places for name, places in own.items() if len(places) > 1}
    assert {name: places for name, places in twice.items() if name not in SHARED} == {}
    assert set(SHARED) - set(twice) == set(), "it stands once now: take it out"
