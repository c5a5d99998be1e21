"""What belongs to the site as a whole: a page at its root that leads to the first, and llms.txt, the index of its pages for programs
that read (https://llmstxt.org), made of their titles and first sentences."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

SECTIONS = {
    "Examples": r"docs/examples|notebooks/",
    "Guides": r"docs/(guides|models|formulas-and-priors|estimands|command-line)",
    "Coming from other programs": r"docs/coming-from",
    "Reference": r"docs/reference",
    "Optional": r"docs/decisions/\d|CHANGELOG|CONTRIBUTING|README|models/README",
    "Why believe it": r"docs/(trust|why-believe-it|limits|decisions/README)|benchmarks/",
}
ORDER = ("Start", *sorted(SECTIONS, key=lambda name: name == "Optional"))  # what may be left out comes last


def first_sentence(document: nodes.document) -> str:
    """The first sentence of the first paragraph that is no table, list or picture."""
    for paragraph in document.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if isinstance(paragraph.parent, nodes.section | nodes.document) and not text.startswith("Status:"):
            return re.split(r"(?<=[a-z)\]”'\"][.?])\s", text, maxsplit=1)[0].rstrip(":")
    return ""


def section_of(page: str) -> str:
    return next((name for name, pattern in SECTIONS.items() if re.match(pattern, page)), "Start")


def index_for_programs(environment: BuildEnvironment, root: str) -> str:
    """The text of llms.txt."""
    pages: dict[str, list[str]] = {name: [] for name in ORDER}
    for page in sorted(environment.found_docs - {root}):
        title = environment.titles[page].astext()
        said = first_sentence(environment.get_doctree(page))
        pages[section_of(page)].append(f"- [{title}]({page}.html)" + (f": {said}" if said else ""))
    summary = first_sentence(environment.get_doctree(root))
    parts = [f"# {environment.titles[root].astext()}", f"> {summary}"]
    parts += [f"## {name}\n\n" + "\n".join(lines) for name, lines in pages.items() if lines]
    return "\n\n".join(parts) + "\n"


def write(app: Sphinx, failure: Exception | None) -> None:
    if failure is not None or app.builder.format != "html":
        return
    out, root = Path(app.outdir), app.config.root_doc
    (out / "llms.txt").write_text(index_for_programs(app.env, root), encoding="utf-8")
    (out / "index.html").write_text(
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{app.config.html_title}</title>\n'
        f'<meta http-equiv="refresh" content="0; url={root}.html">\n<a href="{root}.html">{app.config.html_title}</a>\n</html>\n',
        encoding="utf-8",
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
