"""The README's zoo table is generated from the cards; `make readme` writes it anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

from glmm_zoo import registry

README = Path(__file__).parents[1] / "README.md"


def zoo_table() -> str:
    rows = ["| card | builder (alias) | formula | question |", "|---|---|---|---|"]
    for card in registry.cards().values():
        aliases = f" ({', '.join(card.builder.aliases)})" if card.builder.aliases else ""
        formula = card.file.formulas.replace("|", "\\|")
        rows.append(f"| `{card.name}` | `{card.file.builder}`{aliases} | `{formula}` | {card.file.summary} |")
    return "\n".join(rows)


def test_the_zoo_table_is_that_of_the_cards() -> None:
    pattern = re.compile(r"(<!-- zoo -->\n).*?(\n<!-- /zoo -->)", re.DOTALL)
    text = README.read_text()
    fresh = pattern.sub(lambda m: m.group(1) + zoo_table() + m.group(2), text)
    if os.environ.get("UPDATE_README"):
        README.write_text(fresh)
    assert pattern.search(text) and README.read_text() == fresh, "run make readme"
