"""The version of the package, by the tag of git; hatchling asks it when it builds from a checkout.

A commit with the tag vX.Y.Z and no changed file is X.Y.Z. Everything else is the version in development after the last release of
CHANGELOG.md, X.Y.(Z+1).dev0: there the commit says nothing, since an editable installation keeps its version while commits go on.
An sdist holds the version with which it was made, and hatchling takes that.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).parent


def version_by_tag(root: Path = ROOT) -> str:
    """The version of the files in the folder `root`, in the form of PEP 440."""
    tagged = [found for name in tags_of_files(root) if (found := read(name))]
    if tagged:
        return str(max(tagged))
    last = last_release(root)
    return f"{last.major}.{last.minor}.{last.micro + 1}.dev0"


def tags_of_files(root: Path) -> list[str]:
    """The tags of the commit whose files stand in `root`, none where one of them was changed or git cannot tell."""
    if not (root / ".git").exists():  # a folder inside another's checkout is not of its tags
        return []
    try:
        changed, tags = (
            git(root, *said)
            for said in (("status", "--porcelain", "--untracked-files=no"), ("tag", "--points-at", "HEAD"))
        )
    except (OSError, subprocess.CalledProcessError):
        return []
    return [] if changed else tags.split()


def last_release(root: Path) -> Version:
    """The newest version that has a section in CHANGELOG.md."""
    found = re.search(r"^## \[(\d\S*)\]", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert found, "CHANGELOG.md has no section '## [X.Y.Z] - YYYY-MM-DD'"
    return Version(found[1])


def git(root: Path, *said: str) -> str:
    return subprocess.run(["git", "-C", str(root), *said], check=True, capture_output=True, text=True).stdout


def read(tag: str) -> Version | None:
    """The version that a tag names, None for a tag of something else."""
    try:
        return Version(tag[1:]) if tag.startswith("v") else None
    except InvalidVersion:
        return None
