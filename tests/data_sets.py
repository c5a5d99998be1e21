"""Where each data set of the tests and benchmarks is, by file name; no other file may look outside the repository.

Data whose licence lets them be copied are in `tests/data/` or are those of a model card. Data that may not be copied are read
from a folder outside; see `tests/data/README.md`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
OUTSIDE = ROOT.parent / "shared" / "data" / "tests-only"
FOLDER, ALLOW = "GLMM_ZOO_DATA", "GLMM_ZOO_ALLOW_MISSING_DATA"
CARDS = {  # the same rows and columns as the data of a card
    "HSAUR3_BtheB.csv": "beat_the_blues",
    "HSAUR3_toenail.csv": "longitudinal_logistic",
    "MASS_epil.csv": "seizures",
    "boot_nitrofen.csv": "nitrofen",
    "glmmTMB_Owls.csv": "owls",
    "glmmTMB_Salamanders.csv": "salamanders",
    "lme4_Arabidopsis.csv": "fruits",
    "lme4_VerbAgg.csv": "verbal_aggression",
    "lme4_VerbAgg_r2.csv": "crossed",
    "lme4_cbpp.csv": "multicenter",
    "mlmRev_Mmmec.csv": "melanoma",
    "nlme_Gasoline.csv": "gasoline",
    "ordinal_wine.csv": "wine",
    "reshape2_french_fries.csv": "fries",
    "rstanarm_roaches.csv": "roaches",
    "sim_sw_hussey_hughes.csv": "wedge_trial",
    "survival_kidney.csv": "kidney",
    "survival_pbcseq.csv": "liver_platelets",
}
RESTRICTED = {  # not in the repository: where they come from
    "JM_aids.csv": "aids of the R package JM; Goldman et al. 1996",
    "JM_aids.id.csv": "aids.id of the R package JM; Goldman et al. 1996",
    "bugs_blocker.csv": "Blocker, BUGS Examples Volume I; Carlin 1992",
    "bugs_seeds.csv": "Seeds, BUGS Examples Volume I; Crowder 1978",
    "joineR_mental.csv": "mental of the R package joineR",
    "joineRML_epileptic.qol.csv": "epileptic.qol of the R package joineRML",
    "sw_hivtesting.csv": "HIV testing trial; Tang et al. 2018, PLoS Medicine 15, e1002645",
}


class MissingDataError(FileNotFoundError):
    """A data set that may not be copied into the repository is not on this machine."""


def data_path(name: str) -> Path:
    """The file of a data set.

    Raises
    ------
    MissingDataError
        A restricted data set is neither in the folder that GLMM_ZOO_DATA names nor beside the checkout.
    """
    if name in CARDS:
        return ROOT / "models" / CARDS[name] / "data.csv"
    if name not in RESTRICTED:
        return ROOT / "tests" / "data" / name
    folders = [Path(os.environ[FOLDER])] if os.environ.get(FOLDER) else []
    for folder in (*folders, OUTSIDE):
        if (folder / name).is_file():
            return folder / name
    raise MissingDataError(
        f"{name} ({RESTRICTED[name]}) may not be copied into the repository and is not on this machine: put it into a "
        f"folder and name that in the environment variable {FOLDER} (see tests/data/README.md)"
    )


def data_set(name: str) -> pd.DataFrame:
    """The table of a data set. Where a restricted one is missing the test fails, or is skipped if that is allowed."""
    try:
        return pd.read_csv(data_path(name))
    except MissingDataError as error:
        missing = str(error)
    import pytest  # here, since the benchmarks time what they import

    if os.environ.get(ALLOW) == "1":
        pytest.skip(missing)
    pytest.fail(f"{missing}, or set {ALLOW}=1 to skip the test", pytrace=False)
