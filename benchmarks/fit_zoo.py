"""One fit by this project, as `glmm-zoo fit` does it: `fit_zoo.py EFFECTIVE NAME OUT DRAWS SEED`; writes OUT and OUT's .json.

EFFECTIVE is the number of `--effective`, or 0 for the default.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from data_sets import data_path
from reference_posteriors import PRIORS, REFERENCES

import glmm_zoo as zoo
from glmm_zoo.cli import with_rare_garbage_collection
from glmm_zoo.results.storage import metadata
from glmm_zoo.tables.files import read_table


def build(name: str) -> Any:
    """Our model of a posterior of `tests/reference_posteriors.py`, from the raw data."""
    (reference,) = (r for r in REFERENCES if r.file == name)
    return getattr(zoo, reference.builder)(
        read_table(data_path(reference.data)),
        reference.formula,
        center=False,
        priors={key: prior for key, prior in {**PRIORS, **reference.priors}.items() if prior},
        **reference.options,
    )


def main(effective: str, name: str, out: str, draws: str, seed: str) -> None:
    tree = zoo.fit(build(name), draws=int(draws), seed=int(seed), effective=int(effective) or None, progress=False)
    zoo.save(tree, out, overwrite=True)
    run = metadata(tree)
    facts = {
        "compile_s": run["seconds"]["compile"],
        "sample_s": run["seconds"]["sample"],
        "gradients": run["sampling"]["gradients"],
        "divergences": int(tree["sample_stats"]["diverging"].sum()),
        "version": f"glmm-zoo {version('glmm-zoo')}",
    }
    Path(out).with_suffix(".json").write_text(json.dumps(facts))


if __name__ == "__main__":
    with_rare_garbage_collection(lambda: main(*sys.argv[1:]))
