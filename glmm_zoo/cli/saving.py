"""A fit is made and saved, or goes on where it was interrupted; its exit code tells what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from glmm_zoo.cli.exit_codes import ExitCode
from glmm_zoo.cli.spelling import as_typed
from glmm_zoo.cli.target import partial_file
from glmm_zoo.cli.terminal import computing, print_rich, say, verdict_text
from glmm_zoo.errors import InputError, listing, plural
from glmm_zoo.inference import interrupts
from glmm_zoo.inference.settings import Settings
from glmm_zoo.results.parts import count_of_parts, discard_parts, how_to_go_on, parts_folder
from glmm_zoo.tables.memory import give_back_what_is_free

if TYPE_CHECKING:
    import xarray as xr

    from glmm_zoo.graph.model import Model
    from glmm_zoo.inference.workers import Workers
    from glmm_zoo.results.about import About


def fit_and_save(
    build: Callable[[], Model | list[Model]],
    settings: Settings,
    target: Path,
    prob: float,
    *,
    overwrite: bool,
    resume: bool,
    about: About | None,
    workers: Workers = None,
) -> int:
    """Build the model, sample it, save the fit and print its summary and verdict; return the exit code.

    When sampling is interrupted, by Ctrl-C or SIGTERM, the draws made so far are saved beside the target; later the fit is
    finished and saved. `about` is what the user says of it in words, `workers` make the chains. Several models are those of imputed tables.

    Raises
    ------
    InputError
        Chains that are kept of an interrupted fit, where it is neither resumed nor overwritten; or are of another fit.
    OSError
        A full disk, with what is kept.
    """
    _kept_before(target, overwrite, resume)
    model = build()
    from glmm_zoo.inference.fit import Interrupted
    from glmm_zoo.inference.fit import fit as fit_model
    from glmm_zoo.refits.complete import complete_fit
    from glmm_zoo.results import storage

    advice = "use --overwrite to replace it, or give another --out"
    if resume and (done := complete_fit(target, model, settings, advice, overwrite=overwrite)) is not None:
        storage.discard_parts_of(target, storage.keys_of(storage.metadata(done)))
        say(f"{target} is complete, nothing is left to do")
        return _reported(done, target, prob)
    try:
        if isinstance(model, list):
            from glmm_zoo.refits.imputed import fit_each

            tree = fit_each(model, asdict(settings), about=about, resume=target, workers=workers)
        else:
            tree = fit_model(model, about=about, resume=target, workers=workers, **asdict(settings))
    except Interrupted as stop:
        return _save_interrupted(stop.tree, target)
    try:
        storage.save(tree, target, overwrite=overwrite or resume)
    except OSError as err:
        raise OSError(f"{err}; {_kept(target)}") from None
    if resume:
        partial_file(target).unlink(missing_ok=True)
    saved = f"the fit is complete and saved in {target}"
    if storage.metadata(tree)["sampling"]["cut_short"]:
        saved += ", without the further draws that it would have made: --resume makes them"
    interrupts.nothing_to_lose(saved)
    if interrupts.received():
        say(f"{interrupts.interrupted_by(interrupts.received())}; {saved}")
        return interrupts.exit_code(interrupts.received())
    return _reported(tree, target, prob)


def _kept_before(target: Path, overwrite: bool, resume: bool) -> None:
    """What becomes of chains that an earlier fit left."""
    folder = parts_folder(target)
    count = count_of_parts(folder)
    if count and not (resume or overwrite):
        raise InputError(
            f"{folder} keeps {plural(count, 'finished run')} of chains of a fit that was interrupted; --resume goes on with them, "
            "--overwrite discards them"
        )
    if not resume:
        discard_parts(folder)
    elif count:
        say(f"going on with {plural(count, 'finished run')} of chains in {folder}")
    elif not target.exists():
        say(f"no finished chain is kept in {folder}, so the fit begins anew")


def _kept(target: Path) -> str:
    """What is kept of a fit that was not saved, and how to go on."""
    folder = parts_folder(target)
    return how_to_go_on(folder, count_of_parts(folder))


def _reported(tree: xr.DataTree, target: Path, prob: float) -> int:
    from glmm_zoo.report import terminal
    from glmm_zoo.results import diagnostics
    from glmm_zoo.results.report import stored

    give_back_what_is_free(tree.nbytes)
    verdict = diagnostics.judge(tree, stored.stored_diagnostics(tree))
    with computing():
        report = terminal.full_report(tree, prob=prob, spell=as_typed)
    print_rich(*report, verdict_text(verdict), f"saved {target}")
    return ExitCode.DONE if verdict.sound else ExitCode.UNSOUND


def _save_interrupted(tree: xr.DataTree, target: Path) -> int:
    """Save the draws made so far, if there are any, beside the target; return the exit code."""
    from glmm_zoo.results import storage

    draws_by_chain = storage.metadata(tree)["sampling"]["finished"]
    if any(draws_by_chain):
        partial = storage.save(tree, partial_file(target), overwrite=True)
        saved = f"draws made so far ({listing(draws_by_chain)} by chain) are in {partial}, marked as interrupted"
    else:
        saved = "the warm-up was not over, nothing was saved"
    saved = f"{saved}; {_kept(target)}"
    interrupts.nothing_to_lose(saved)
    say(f"{interrupts.interrupted_by(interrupts.received())}; {saved}")
    return interrupts.exit_code(interrupts.received())
