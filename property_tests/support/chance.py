"""The judge of statistical claims, with one budget of false alarms for the whole suite.

If every theory here is right, the suite fails by chance with a probability of at most
``SUITE_ALARM``, however many checks it makes. For that each check of a random number has an equal
share of it (Bonferroni's correction, which needs no independence), and the suite counts its checks:
more than ``CHECKS`` of them fail the run (`conftest`). Seeds are fixed, so a test passes always or
never; the probability is that of a seed being unlucky. Draws that rest on a matrix's root, as those
of `draw_convolutions`, differ from one LAPACK to another, and what they refute needs room to spare.

A wrong theory must be found `atypical` or `implausible`, by the same bounds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

SUITE_ALARM = 1e-6
CHECKS = 1000
ALARM = SUITE_ALARM / CHECKS
LARGEST_Z = float(stats.norm.isf(ALARM / 2))  # 6.1

checks_made = 0
"""So far, in this process."""


def typical(z: ArrayLike) -> bool:
    """Whether all of these standard normal scores are within what chance allows."""
    _count(np.size(z))
    return bool(np.all(np.abs(z) < LARGEST_Z))


def plausible(p: ArrayLike) -> bool:
    """Whether all of these p-values are larger than what chance allows."""
    _count(np.size(p))
    return bool(np.all(np.asarray(p) > ALARM))


def atypical(z: ArrayLike) -> bool:
    """Whether each of these scores, of a wrong theory, is beyond what chance allows."""
    return bool(np.all(np.abs(z) > LARGEST_Z))


def implausible(p: ArrayLike) -> bool:
    """Whether each of these p-values, of a wrong theory, is below what chance allows."""
    return bool(np.all(np.asarray(p) < ALARM))


def _count(number: int) -> None:
    global checks_made
    checks_made += number
