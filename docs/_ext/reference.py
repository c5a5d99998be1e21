"""The reference, from the program itself: in a page of docs/reference the line `<!-- entry: fit -->` becomes the signature and the
docstring of `zoo.fit`, `<!-- builders -->` an entry for each builder, `<!-- commands -->` one for each command."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docstrings
from docstrings import example_of, markdown_of, signature_of

import glmm_zoo as zoo
from glmm_zoo import registry
from glmm_zoo.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGES = Path(__file__).parents[1] / "reference"
ENTRY = re.compile(r"<!-- entry: (\w+) -->")


def entries() -> dict[str, str]:
    """The page of each public name that has an entry, and of each builder, by name."""
    found = {n: page.name for page in sorted(PAGES.glob("*.md")) for n in ENTRY.findall(page.read_text())}
    return found | dict.fromkeys(registry.builders(), "builders.md")


def links() -> dict[str, str]:
    """The address of each entry."""
    return {name: f"{page}#{name.lower()}" for name, page in entries().items()}


def entry(name: str) -> str:
    """What the docstring of a public name says."""
    thing = getattr(zoo, name)
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        base = next(b.__name__ for b in thing.__mro__[1:] if b.__module__ == "builtins")
        kind = "A warning" if issubclass(thing, Warning) else "An exception"
        return f"{kind}, a `{base}`.\n\n{markdown_of(thing.__doc__ or '', links())}"
    parts = [markdown_of(thing.__doc__ or "", links())]
    if inspect.isclass(thing):
        parts += _members(thing)
    else:
        parts.insert(0, f"```python\n{signature_of(f'zoo.{name}', thing)}\n```")
    return "\n\n".join(parts)


def _members(of: type) -> Iterator[str]:
    """Properties and methods of a class, in their own words."""
    for name, member in vars(of).items():
        doc = member.fget.__doc__ if isinstance(member, property) else getattr(member, "__doc__", None)
        if name.startswith("_") or not doc or not (isinstance(member, property) or inspect.isfunction(member)):
            continue
        call = "" if isinstance(member, property) else _call(member)
        yield f"`{name}{call}`\n: {markdown_of(doc.partition('\n\n')[0])}"


def _call(method: Any) -> str:
    return f"({', '.join(name for name in inspect.signature(method).parameters if name != 'self')})"


def all_builders() -> str:
    """An entry for each builder: aliases, docstring, call, and the model of a card of it."""
    table = [f"| [`{b.name}`](#{b.name}) | {', '.join(b.aliases)} | {b.title} |" for b in registry.builders().values()]
    parts = ["\n".join(["| builder | aliases | what it models |", "|---|---|---|", *table])]
    for builder in registry.builders().values():
        card = registry.example_card(builder)
        aliases = f" Also called {' and '.join(f'`{a}`' for a in builder.aliases)}." if builder.aliases else ""
        parts += [
            f"## {builder.name}",
            f'{builder.title}.{aliases} On the command line: `glmm-zoo fit {builder.name} DATA --formula "..."`.',
            f"```python\n{signature_of(f'zoo.{builder.name}', builder.function())}\n```",
            markdown_of(builder.doc, links()),
            f"**Example**\n\nThe card `{card.name}`: {card.file.title}",
            f"```python\n{builder_example(builder)}\n```",
        ]
    return "\n\n".join(parts)


def builder_example(builder: registry.Builder) -> str:
    """Lines of Python that make the model of a builder's card from its table."""
    card = registry.example_card(builder)
    file = card.file
    lines = [f'card = zoo.card("{card.name}")', f'{builder.tables[0]} = pd.read_csv(card.folder / "{file.data}")']
    if file.survival is not None:
        lines.append(f'survival = pd.read_csv(card.folder / "{file.survival}")')
    given = [f"    {name},\n" for name in builder.tables[: 1 + (file.survival is not None)]]
    given.append(f"    {file.formula!r},\n")
    given += [f"    {name}={value!r},\n" for name, value in file.options.items()]
    if file.tables:
        read = ", ".join(f'"{name}": pd.read_csv(card.folder / "{path}")' for name, path in file.tables.items())
        given.append(f"    tables={{{read}}},\n")
    if file.priors:
        given.append(f"    priors={file.priors!r},\n")
    return "\n".join([*lines, f"model = zoo.{builder.name}(\n{''.join(given)})"])


def commands() -> dict[str, Any]:
    """The commands of the command line by name."""
    from glmm_zoo.cli.commands import app_of

    app = app_of()
    return {name: app[name] for name in app if not name.startswith("-") and app[name].default_command}


def all_commands() -> str:
    """An entry for each command, as its help has it: what it does, its arguments and options, an example."""
    from glmm_zoo.cli.commands import app_of

    _, *rest = re.split(r"^#+ glmm-zoo (\S+)\n", app_of().generate_docs(), flags=re.MULTILINE)
    helps = dict(zip(rest[::2], rest[1::2], strict=True))
    summaries = {n: inspect.cleandoc(c.default_command.__doc__).splitlines()[0] for n, c in commands().items()}
    rows = [f"| [`{name}`](#{name}) | {summary} |" for name, summary in summaries.items()]
    parts = ["\n".join(["| command | what it does |", "|---|---|", *rows])]
    for name, command in commands().items():
        example = example_of(command.default_command.__doc__)
        said = helps[name].replace("```console", "```text").partition("**Example")[0].strip()
        parts += [f"## {name}", said, f"**Example**\n\n```bash\n{example}\n```"]
    return "\n\n".join(parts)


def exit_codes() -> str:
    """The exit codes with what stands beside them in the program."""
    lines = inspect.getsource(ExitCode).splitlines()
    meanings = {name.strip(): said.strip() for line in lines for name, eq, said in [line.partition("=")] if eq}
    rows = [f"| {code.value} | `{code.name}` | {meanings[code.name].partition('#')[2].strip()} |" for code in ExitCode]
    return "\n".join(["| code | name | meaning |", "|---|---|---|", *rows])


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Put what the program says of itself in the place of the lines that ask for it."""
    if not page.startswith("docs/reference/"):
        return
    generated = {"builders": all_builders, "commands": all_commands, "exit codes": exit_codes}
    for name, make in generated.items():
        marker = f"<!-- {name} -->"
        if marker in source[0]:
            source[0] = source[0].replace(marker, make())
    source[0] = ENTRY.sub(lambda found: entry(found[1]), source[0])
    for path in (Path(__file__), Path(docstrings.__file__)):
        app.env.note_dependency(str(path))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
