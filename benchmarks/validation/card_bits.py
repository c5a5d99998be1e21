"""Fit every card at seed 1 and print one SHA-256 for each group of each fit file, to compare two states of the code.

    git worktree add /tmp/before REVISION
    python benchmarks/validation/card_bits.py --code /tmp/before --write before.json
    python benchmarks/validation/card_bits.py --compare before.json

The fits are made by `python -m glmm_zoo fit` with the package of `--code` (default: this checkout) in front of the
path. The same bits are promised on the same processor with the versions of `constraints.txt` only, so a list of hashes
holds on the machine that made it and is not kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

HERE = Path(__file__).parents[2]
GROUPS = (
    "posterior",
    "sample_stats",
    "log_likelihood",
    "posterior_predictive",
    "observed_data",
    "constant_data",
    "unconstrained_posterior",
    "group_effects",
)


def digest(dataset: xr.Dataset) -> str:
    """SHA-256 of names, dims and values of all variables and coordinates, whatever the order in which they are stored."""
    total = hashlib.sha256()
    for name in sorted(map(str, dataset.variables)):
        values = dataset[name].values
        text = values.dtype.kind in "OSU"
        content = "\0".join(map(str, values.ravel())).encode() if text else np.ascontiguousarray(values).tobytes()
        total.update(f"{name}|{dataset[name].dims}|{values.shape}|{values.dtype.kind}|".encode() + content)
    return total.hexdigest()


def fit(card: str, code: Path, folder: Path) -> dict[str, str]:
    """The hashes of a card's fit, one for each group of its file."""
    out = folder / f"{card}.nc"
    command = [sys.executable, "-m", "glmm_zoo", "fit", card, "--seed", "1", "--out", str(out)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(code)}, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 3):
        raise SystemExit(f"{card}: exit {done.returncode}\n{done.stderr}")
    with xr.open_datatree(out, engine="h5netcdf") as tree:
        return {name: digest(tree[name].load().to_dataset()) for name in GROUPS if name in tree.children}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cards", nargs="*", help="cards to fit; all if none is named")
    parser.add_argument("--code", type=Path, default=HERE, help="the checkout whose package fits")
    parser.add_argument("--write", type=Path, help="write the hashes to this file")
    parser.add_argument("--compare", type=Path, help="compare with the hashes of this file; exit 1 if any differ")
    arguments = parser.parse_args()
    code = arguments.code.resolve()
    cards = arguments.cards or sorted(p.parent.name for p in (code / "models").glob("*/card.toml"))
    earlier = json.loads(arguments.compare.read_text()) if arguments.compare else None
    hashes: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for card in cards:
            hashes[card] = fit(card, code, Path(folder))
            differ = (
                "" if earlier is None else [g for g, h in earlier[card].items() if hashes[card].get(g) != h] or "same"
            )
            print(card, differ or hashes[card]["posterior"][:16], flush=True)
    if arguments.write:
        arguments.write.write_text(json.dumps(hashes, indent=1) + "\n")
    if earlier is not None and any(hashes[c] != earlier[c] for c in cards):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
