"""Arguments that commands read alike: types of options, the files to read, sampler settings, NAME=VALUE, numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from glmm_zoo.errors import raise_all, shown
from glmm_zoo.inference.settings import Backend, KeptEffects, Parameterization, Settings

if TYPE_CHECKING:
    from glmm_zoo.tables.files import RawTable

Repeated = Annotated[list[str] | None, Parameter(consume_multiple=False, negative="")]  # --id a --id b
Flag = Annotated[bool, Parameter(negative="")]  # --strip, without --no-strip
TableFormat = Literal["table", "csv", "json"]


@Parameter(name="*")
@dataclass(frozen=True)
class Reading:
    """How the files of a command are read.

    Parameters
    ----------
    encoding
        Of a text file: utf-8, latin-1, utf-16, ...
    sep
        Separator of a text file; by default tab for .tsv and .tab, else comma.
    decimal
        Decimal mark of a text file.
    na
        A further code for a missing value; may be repeated.
    not_na
        A code such as NA that is a value in these files and not a missing one; may be repeated.
    comment
        Lines that start with this are skipped.
    strip
        Remove spaces around names and values.
    """

    encoding: str = "utf-8"
    sep: str | None = None
    decimal: str = "."
    na: Repeated = None
    not_na: Repeated = None
    comment: str | None = None
    strip: Flag = False

    def tables(self, files: Sequence[str | None]) -> list[RawTable | None]:
        """The files as tables, None for one that is not given."""
        from glmm_zoo.tables.files import ReadOptions, read_table

        separator = {"tab": "\t", "\\t": "\t"}.get(self.sep or "", self.sep)
        raise_all(self._problems(separator))
        options = ReadOptions(
            self.encoding,
            separator,
            self.decimal,
            tuple(self.na or ()),
            self.comment,
            self.strip,
            tuple(self.not_na or ()),
        )
        return [None if file is None else read_table(file, options) for file in files]

    def _problems(self, separator: str | None) -> list[str]:
        """A sentence for each mark that a text file cannot have."""
        problems = []
        if separator is not None and not (separator == "\t" or (_is_mark(separator) and separator not in "\"'.")):
            problems.append(
                f"--sep must be one character such as ';' or tab, and no letter, digit, quote, point or end of line, not {shown(self.sep)}"
            )
        if not (_is_mark(self.decimal) and self.decimal not in " \"'+-"):
            problems.append(f"--decimal must be one character such as ',' or '.', not {shown(self.decimal)}")
        if self.comment is not None and (not self.comment.strip() or set(self.comment) & {"\n", "\r"}):
            problems.append(f"--comment must be the characters that such lines start with, not {shown(self.comment)}")
        try:
            "a".encode(self.encoding)
        except (LookupError, ValueError):
            problems.append(f"unknown encoding {shown(self.encoding)}; try utf-8, latin-1 or utf-16")
        return problems


def _is_mark(text: str) -> bool:
    """Whether it is one printable ASCII character that is neither letter nor digit."""
    return len(text) == 1 and text.isascii() and text.isprintable() and not text.isalnum()


def _shown_default(value: object) -> Parameter:
    """Makes the help show a value as an option's default, while the default is None and tells that the option is not given."""
    return Parameter(show_default=lambda _: str(value))


def _whole_number(_: object, tokens: Sequence[Any]) -> int:
    """A whole number; the library's own conversion would round 1.5 to 2.

    Raises
    ------
    ValueError
        Text that is none, of which the library makes a sentence.
    """
    text = tokens[0].value
    if not re.fullmatch(r"[+-]?[0-9]{1,100}", text):
        raise ValueError(f"a whole number is expected, not {shown(text)}")
    return int(text)


Count = Annotated[int, Parameter(converter=_whole_number)]
WholeNumber = Annotated[int | None, Parameter(converter=_whole_number)]


@Parameter(name="*")
@dataclass(frozen=True)
class SamplerArguments:
    """The options of the sampler; None for one that is not given.

    Parameters
    ----------
    draws
        Draws kept for each chain; 1000, or what the card says.
    tune
        Warm-up draws for each chain; 500, or what the card says.
    chains
        Number of chains.
    cores
        Chains that run at a time; by default one for small data, where that is faster.
    seed
        The same seed gives the same draws.
    thin
        Keep every N-th draw; by default up to 8, as long as that gains more than it costs.
    effective
        Make draws until each parameter but group effects has so many effective ones, such as 400; at most 8 times those of --draws.
    target_accept
        Nearer to 1 is slower and safer; 0.8, then 0.95 and 0.99 if there are divergences, or what the card says.
    parameterization
        What the sampler moves for group effects; auto adapts to the data.
    keep_group_effects
        Their draws, or only mean, sd, effective draws and R-hat of each; by default all or, of many, some draws beside these.
    backend
        jax moves all chains at once, on GPUs or several devices where JAX has them; it needs the extra: pip install "glmm-zoo[jax]".
    """

    draws: WholeNumber = None
    tune: WholeNumber = None
    chains: Annotated[WholeNumber, _shown_default(Settings.chains)] = None
    cores: WholeNumber = None
    seed: WholeNumber = None
    thin: WholeNumber = None
    effective: WholeNumber = None
    target_accept: float | None = None
    parameterization: Annotated[Parameterization | None, _shown_default(Settings.parameterization)] = None
    keep_group_effects: Annotated[KeptEffects | None, _shown_default(Settings.keep_group_effects)] = None
    backend: Annotated[Backend | None, _shown_default(Settings.backend)] = None

    def settings(self, usual: Settings) -> Settings:
        """The usual settings, changed where an option is given."""
        return replace(usual, **{name: value for name, value in asdict(self).items() if value is not None})


def option_name(name: str) -> str:
    """How the command line spells an argument: "--target-accept" for target_accept."""
    return f"--{name.replace('_', '-')}"


def probability_problems(name: str, value: float) -> list[str]:
    """A sentence if an argument that must be a probability is none."""
    return [] if 0 < value < 1 else [f"{option_name(name)} must be in (0, 1), not {value:g}"]


def name_value_pairs(entries: Sequence[str], option: str, example: str, problems: list[str]) -> dict[str, str]:
    """The values of `--option NAME=VALUE` by name; a sentence is added to `problems` for each entry that is none."""
    values: dict[str, str] = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            problems.append(f"--{option} {entry!r} is not NAME=VALUE; write for example --{option} {example!r}")
        elif name in values:
            problems.append(f"--{option} {name} is given twice")
        else:
            values[name] = value
    return values
