"""Docstrings as Markdown: paragraphs, formulas as blocks of code, and sections as lists of terms."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)
_EXAMPLES = "Examples"  # which a page shows in a place of its own


def markdown_of(doc: str, links: Mapping[str, str] = {}) -> str:
    """A docstring as Markdown. `links` are the addresses of entries by name, to which "as in `name`" leads."""
    start, *rest = _SECTION.split(inspect.cleandoc(doc) + "\n")
    parts = [_paragraphs(start, links)]
    for heading, text in zip(rest[::2], rest[1::2], strict=True):
        if heading != _EXAMPLES:
            parts += [f"**{heading}**", _terms(text, links)]
    return "\n\n".join(part for part in parts if part.strip())


def example_of(doc: str) -> str:
    """The section Examples of a docstring; "" where there is none."""
    _, *rest = _SECTION.split(inspect.cleandoc(doc) + "\n")
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    return textwrap.dedent(sections.get(_EXAMPLES, "")).strip()


def signature_of(name: str, function: Callable[..., Any]) -> str:
    """The call of a function with its arguments, one in a line, their types and defaults."""
    signature = inspect.signature(function)
    lines, kinds = [], [p.kind for p in signature.parameters.values()]
    for place, parameter in enumerate(signature.parameters.values()):
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.VAR_POSITIONAL not in kinds[:place]:
            lines += ["*"] if parameter.KEYWORD_ONLY not in kinds[:place] else []
        star = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        typed = "" if parameter.annotation is parameter.empty else f": {_plain(parameter.annotation)}"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        lines.append(f"{star}{parameter.name}{typed}{default}")
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.POSITIONAL_ONLY not in kinds[place + 1 :]:
            lines.append("/")
    returned = "" if signature.return_annotation is signature.empty else f" -> {_plain(signature.return_annotation)}"
    inside = "".join(f"    {line},\n" for line in lines)
    return f"{name}(\n{inside}){returned}" if len(lines) > 1 else f"{name}({', '.join(lines)}){returned}"


def _plain(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _terms(text: str, links: Mapping[str, str]) -> str:
    """A section: a line with an indented text below is a term with what is said of it, and all else paragraphs."""
    parts, lines = [], text.strip("\n").split("\n")
    while lines:
        line = lines.pop(0)
        said = list(_while_indented(lines))
        if said and line.strip():
            inside = _paragraphs(textwrap.dedent("\n".join(said)), links)
            parts.append(f"{_term(line)}\n: {textwrap.indent(inside, '  ').strip()}")
        elif line.strip():
            block = [line, *said]
            while lines and lines[0].strip():
                block.append(lines.pop(0))
            parts.append(_paragraphs("\n".join(block), links))
    return "\n\n".join(parts)


def _while_indented(lines: list[str]) -> Iterator[str]:
    """Take the lines of what is said of a term, with the blank ones between them."""
    while lines and (lines[0].startswith("    ") or (not lines[0].strip() and _next_is_indented(lines))):
        yield lines.pop(0)


def _next_is_indented(lines: list[str]) -> bool:
    return next((line.startswith("    ") for line in lines if line.strip()), False)


def _term(line: str) -> str:
    """`a`, `b` of "a, b"; a name of a type stays as it is."""
    return ", ".join(f"`{name.strip()}`" for name in line.split(","))


def _paragraphs(text: str, links: Mapping[str, str]) -> str:
    """Paragraphs with their marks escaped; indented ones are blocks of code."""
    blocks = [block for block in re.split(r"\n\s*\n", text.strip("\n")) if block.strip()]
    parts: list[str] = []
    for block in blocks:
        if not block.startswith("    "):
            parts.append(_prose(block, links))
        elif parts and parts[-1].startswith("```text"):
            parts[-1] = f"{parts[-1].removesuffix('```')}\n{textwrap.dedent(block)}\n```"
        else:
            parts.append(f"```text\n{textwrap.dedent(block)}\n```")
    return "\n\n".join(parts)


def _prose(text: str, links: Mapping[str, str]) -> str:
    """Text between code in backticks as it stands, whatever Markdown would make of it."""
    pieces = re.split(r"(`[^`]*`)", text)
    pieces[::2] = [re.sub(r"([\\*<>$\[\]{}|#])|(?<!\w)(_)|(_)(?!\w)", r"\\\g<0>", piece) for piece in pieces[::2]]
    escaped = re.sub(r"(?m)^([-+]|\d+(?=[.)]))", r"\\\1", "".join(pieces))
    escaped = re.sub(r"(?m)^(\\)(\d+)([.)])", r"\2\\\3", escaped)  # of "1." the point is escaped

    def linked(found: re.Match[str]) -> str:
        target = links.get(found["name"])
        return f"{found['lead']}[`{found['name']}`]({target})" if target else found[0]

    return re.sub(r"(?P<lead>\b[Aa]s (?:in|for) |\bresult of |\bof )`(?P<name>\w+)`", linked, escaped)
