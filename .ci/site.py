"""A hook of MkDocs: what pages link to outside of ``docs/`` (results, the benchmarks' page) is put into the site.

A link to ``../../benchmarks/README.md`` leads to ``repository/benchmarks/README.md`` there. Blocks whose language says
how a test runs them keep it: only ``text`` and ``console`` mean something to a highlighter.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PLACE = "repository"
LINK = re.compile(r"(\]\()([^)#\s:]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, config: Any) -> Files:
    """Add each file that a page links to outside of the folder of pages."""
    docs = Path(config["docs_dir"])
    waiting = [docs / file.src_uri for file in files.documentation_pages()] + [ROOT / "benchmarks/README.md"]
    seen: set[Path] = set()
    while waiting:
        page = waiting.pop()
        for link in LINK.findall(page.read_text(encoding="utf-8")):
            target = (page.parent / link[1]).resolve()
            if docs in target.parents or target in seen or not target.is_file():
                continue
            seen.add(target)
            uri = f"{PLACE}/{target.relative_to(ROOT).as_posix()}"
            files.append(File.generated(config, uri, abs_src_path=str(target)))
            if target.suffix == ".md":
                waiting.append(target)
    return files


def on_page_content(content: str, **_: Any) -> str:
    """An empty corner of a table is no header: who hears a page would be told of one without a name."""
    return re.sub(r"<th([^>]*)></th>", r"<td\1></td>", content)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:  # noqa: ARG001
    """Turn links to files of the repository into links within the site."""
    docs, uri = Path(config["docs_dir"]), page.file.src_uri
    outside = uri.startswith(f"{PLACE}/")
    here = ROOT / uri.removeprefix(f"{PLACE}/") if outside else docs / uri

    def moved(link: re.Match[str]) -> str:
        target = (here.parent / link[2]).resolve()
        if not target.exists():
            return link[0]
        if docs in target.parents:
            found = target.relative_to(docs).as_posix()
        elif ROOT in target.parents:
            found = f"{PLACE}/{target.relative_to(ROOT).as_posix()}"
        else:
            return link[0]
        return link[1] + os.path.relpath(found, Path(uri).parent.as_posix()).replace(os.sep, "/") + link[3]

    return LINK.sub(moved, markdown)
