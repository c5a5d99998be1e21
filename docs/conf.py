"""The site of the documentation: `make docs` builds it from the texts, notebooks and docstrings of the repository.

The repository itself is the source folder, so that a link of a text is the same here, in a checkout and on the site.
"""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.utils.math import latex2mathml

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "docs" / "_ext")]

project = "glmm_zoo"
author = "The glmm_zoo authors"
copyright = author
release = importlib.metadata.version("glmm-zoo")

extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton", "reference", "whole_site"]
html_math_renderer = "mathml"
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/**/*.md",
    "notebooks/*.ipynb",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/README.md",
    "models/README.md",
]
exclude_patterns = ["docs/_build"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist", "fieldlist", "html_image"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "docs" / "_build" / ".notebooks")
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True

html_theme = "pydata_sphinx_theme"
html_title = "glmm_zoo"
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # for it a page would ask for other pages, which a browser refuses to files
html_sidebars = {"docs/start": []}  # a section of one page, which has nothing to list
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/icon.svg"
nb_ipywidgets_js = {}  # which come from a network
html_context = {"default_mode": "auto"}  # light or dark as the machine of the reader is
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "show_prev_next": True,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def inline_mathml(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(latex2mathml.tex2mathml(node.astext()))
    raise nodes.SkipNode


def block_mathml(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{latex2mathml.tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Formulas as MathML, which browsers draw themselves: the site needs no network and no script for them."""
    app.add_html_math_renderer("mathml", (inline_mathml, None), (block_mathml, None))
