"""The command line: `glmm-zoo list | show | fit | check | summary | predict | report`."""

from glmm_zoo.cli.fit import _locked, alone, main, run

__all__ = ["_locked", "alone", "main", "run"]
