"""Draws of chains that went on, put together."""

from __future__ import annotations

import numpy as np

from glmm_zoo.inference.draws import Draws, joined_and_thinned


def test_draws_made_longer_and_thinned() -> None:
    """Chains of 6 and 6 draws, every third kept; the second of them stopped after 5."""
    x = np.arange(2.0 * 12 * 3).reshape(2, 12, 3)
    step, bad = np.arange(24.0).reshape(2, 12), np.zeros((2, 12), bool)
    bad[0, 4] = bad[1, 11] = True

    def part(draws: slice, finished: list[int], stopped: bool) -> Draws:
        stats = {"step_size": step[:, draws], "diverging": bad[:, draws], "energy": step[:, draws] % 6 + draws.start}
        divergences, bfmi = int(bad[:, draws].sum()) + 3, np.array([0.5, 1.0] if stopped else [0.9, 0.2])
        return Draws(x[:, draws], np.arange(6), stats, np.array(finished), 100, stopped, 1.0, divergences, bfmi)

    parts = [part(slice(0, 6), [6, 6], False), part(slice(6, 12), [6, 5], True)]
    np.testing.assert_array_equal(joined_and_thinned(parts, 1).x, x)
    found = joined_and_thinned(parts, 3)
    np.testing.assert_array_equal(found.x, x[:, 2::3])
    np.testing.assert_array_equal(found.stats["step_size"], step[:, 2::3])
    np.testing.assert_array_equal(found.stats["diverging"], [[False, True, False, False], [False, False, False, True]])
    np.testing.assert_array_equal(found.stats["energy"], (step % 6)[:, 2::3])  # no matter what constant a part has
    assert found.finished.tolist() == [4, 3] and found.interrupted and (found.gradients, found.seconds) == (200, 2.0)
    assert found.divergences == 2 + 2 * 3 and found.bfmi.tolist() == [0.5, 0.2]  # the smallest of a chain's parts
    np.testing.assert_array_equal(found.x_of(np.array([1, 3])), x[:, [5, 11]].reshape(4, 3))


def test_a_last_part_that_was_stopped_is_as_long_as_its_longest_chain() -> None:
    """Chains of 4 draws go on for 3 and 1 of the 4 asked for, every second kept."""
    x = np.arange(2.0 * 7 * 3).reshape(2, 7, 3)
    parts = [
        Draws(
            x[:, at],
            np.arange(4),
            {"diverging": x[:, at, 0] > 1e9},
            np.array(made),
            1,
            len(x[0, at]) < 4,
            1.0,
            0,
            np.ones(len(x)),
        )
        for at, made in ((slice(0, 4), [4, 4]), (slice(4, 7), [3, 1]))
    ]
    found = joined_and_thinned(parts, 2)
    np.testing.assert_array_equal(found.x, x[:, 1:6:2])
    assert found.stats["diverging"].shape == (2, 3) and found.finished.tolist() == [3, 2]
    assert joined_and_thinned(parts[1:], 4).x.shape == (2, 0, 3)


def test_energies_of_a_part_that_was_stopped_are_moved_by_those_that_were_made() -> None:
    """The energy of each part is a constant of its mass matrix; the second chain of the second part has one draw of four."""
    energies = [np.full((2, 4), 7.0), np.array([[90.0] * 4, [60.0, np.nan, np.nan, np.nan]])]
    parts = [
        Draws(
            np.zeros((2, 4, 1)), np.arange(4), {"energy": e}, np.isfinite(e).sum(axis=1), 1, i == 1, 1.0, 0, np.ones(2)
        )
        for i, e in enumerate(energies)
    ]
    expected = np.full((2, 8), 7.0)
    expected[1, 5:] = np.nan
    np.testing.assert_array_equal(joined_and_thinned(parts, 1).stats["energy"], expected)
