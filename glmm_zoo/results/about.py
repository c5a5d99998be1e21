"""What the user says of a fit in words: the question, what was measured in whom, in which unit, and which direction is good.

It stands in the metadata of a fit's file under the key "about"; the keys are part of the file format and of card files ([about]).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from glmm_zoo.errors import InputError, did_you_mean, plural_of
from glmm_zoo.results.storage import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

KEY = "about"
type Good = Literal["lower", "higher"]


class AboutOutcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One outcome of several: what is counted or measured, the same with its article, its unit, and which direction of it is good."""

    outcome: str = ""
    an_outcome: str = ""
    unit: str = ""
    good: Good | None = None


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is said of a fit in words; each field may be missing, and what is missing is not invented.

    Attributes
    ----------
    question
        One sentence: the title of the report.
    outcome, an_outcome, individual, unit, good
        The event ("new case"), or what is counted or measured; the same with an article where it has one ("a new case"); who has
        it ("animal"); its unit ("ms"); and whether a lower or a higher value is good.
    of, control
        The variable whose effect answers the question, and its level that the others are compared with.
    at
        Values of other columns at which the answer is given, such as the last visit; by default it is averaged over the rows.
    label
        Columns outside the formula that label groups, such as the author and the year of a study.
    event, time_unit
        Of joint models: the event ("death") and the unit of time ("years").
    names, plurals, units, levels
        Words for columns, the plurals of words that do not just get an s, units of columns, words for levels by column.
    outcomes
        By the response of each outcome of a model of several.
    """

    question: str = ""
    outcome: str = ""
    an_outcome: str = ""
    individual: str = ""
    unit: str = ""
    good: Good | None = None
    of: str = ""
    control: str = ""
    at: dict[str, str | float] = {}
    label: list[str] = []
    event: str = ""
    time_unit: str = ""
    names: dict[str, str] = {}
    plurals: dict[str, str] = {}
    units: dict[str, str] = {}
    levels: dict[str, dict[str, str]] = {}
    outcomes: dict[str, AboutOutcome] = {}

    def name(self, column: str) -> str:
        """The words for a column, or the column."""
        return self.names.get(column, column)

    @property
    def person_time(self) -> str:
        """What follow-up is counted in, "patient-years"; "" where no unit of time was said."""
        return f"{self.individual or 'person'}-{self.time_unit}" if self.time_unit else ""

    def level(self, column: str, level: object) -> str:
        """The words for a level of a column, or the level."""
        return self.levels.get(column, {}).get(str(level), str(level))

    def unit_of(self, column: str) -> str:
        """The unit of a column, "" where none is told."""
        return self.units.get(column, "")

    def axis(self, column: str) -> str:
        """The words for a column with its unit, as an axis has them: "latitude, °"."""
        unit = self.unit_of(column)
        return f"{self.name(column)}, {unit}" if unit else self.name(column)

    def plural(self, word: str) -> str:
        """The plural of a word: "studies" of "study", "cases" of "case"."""
        return self.plurals.get(word, plural_of(word))

    def outcome_of(self, response: str) -> AboutOutcome:
        """What is said of one outcome; of a single one it is what is said of the fit."""
        return self.outcomes.get(response, AboutOutcome(self.outcome, self.an_outcome, self.unit, self.good))


def about_of(tree: xr.DataTree) -> About:
    """What the file of a fit holds of it in words; of a fit of which nothing was said every field is empty."""
    content = metadata(tree)
    about = read_about(content.get(KEY, {}))
    members = {name: g["members"]["columns"] for name, g in content["spec"]["groups"].items() if "members" in g}
    return _with_names_of_members(about, members) if members else about


def _with_names_of_members(about: About, members: Mapping[str, list[str]]) -> About:
    """With "school1 or school2" for a factor of which a row has several levels, where nothing else is said."""
    names, plurals = dict(about.names), dict(about.plurals)
    for factor, columns in members.items():
        words = [about.name(c) for c in columns]
        name = names.setdefault("+".join(columns), " or ".join(words))
        names.setdefault(factor, name)
        if name == " or ".join(words):
            plurals.setdefault(name, " or ".join(map(about.plural, words)))
    return msgspec.structs.replace(about, names=names, plurals=plurals)


def read_about(said: Any, where: str = KEY) -> About:
    """Fields of `About` given as a mapping; `where` is the file or argument that they are from.

    Raises
    ------
    InputError
        Fields that there are not (with the nearest one) or that have another type.
    """
    try:
        return said if isinstance(said, About) else msgspec.convert(said, About)
    except msgspec.ValidationError as err:
        raise InputError(f"{where}: {_with_nearest(str(err))}") from None


def stored_about(about: About) -> dict[str, Any]:
    """The fields that are not empty, as the metadata of a file hold them."""
    return msgspec.to_builtins(about)


def _with_nearest(message: str) -> str:
    """What msgspec says of unknown fields, with the nearest known one."""
    unknown = re.search(r"unknown field `(.+?)`", message)
    if unknown is None:
        return message
    outer = "$.outcomes" not in message
    known = [f.name for f in msgspec.structs.fields(About if outer else AboutOutcome)]
    return f"no field {unknown[1]!r}{did_you_mean(unknown[1], known) or ';'} fields: {', '.join(known)}"
