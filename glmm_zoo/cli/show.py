"""`glmm-zoo show`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.terminal import print_rich

if TYPE_CHECKING:
    from glmm_zoo.registry import Builder, CardFile


def show(model: str) -> int:
    """Show a model card, or what a builder takes.

    Parameters
    ----------
    model
        A card, a builder or its alias, or a path to a card file.

    Examples
    --------
    glmm-zoo show poisson
    """
    from glmm_zoo import registry

    card_or_builder = registry.find_card_or_builder(model)
    if isinstance(card_or_builder, registry.Builder):
        _show_builder(card_or_builder)
    else:
        _show_card(card_or_builder.file)
    return ExitCode.DONE


def _show_builder(builder: Builder) -> None:
    from rich.text import Text

    aliases = f" (alias {', '.join(builder.aliases)})" if builder.aliases else ""
    print_rich(Text(f"{builder.name}{aliases}: {builder.title}\n", style="bold"), Text(builder.doc))


def _show_card(file: CardFile) -> None:
    from rich.text import Text

    options = "".join(f"\n  option {name} = {value}" for name, value in file.options.items())
    priors = "".join(f"\n  prior {name} ~ {prior}" for name, prior in file.priors.items())
    print_rich(
        Text(f"{file.name}: {file.title}", style="bold"), Text(f"  {file.builder}: {file.formulas}{options}{priors}")
    )
    source = file.source
    for title, body in (
        ("Question", file.card.question),
        ("Model", file.card.model),
        ("When to use it", file.card.when),
        ("When not", file.card.when_not),
        ("How to read the result", file.card.reading),
        ("Data", "\n".join(filter(None, (source.citation, f"Licence: {source.licence}", source.note)))),
    ):
        print_rich("", Text(title, style="bold"), Text(body.strip()))
