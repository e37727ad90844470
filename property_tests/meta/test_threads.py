"""How many threads tests run on."""

from __future__ import annotations

import os

import pytest

torch = pytest.importorskip("torch")
threadpoolctl = pytest.importorskip("threadpoolctl")


@pytest.mark.parametrize("left_behind", [1, 2])
def test_torch_has_one_thread_whatever_the_test_before_has_left(left_behind: int) -> None:
    """Commands, which tests run in their own process, ask for two."""
    assert torch.get_num_threads() == 1
    torch.set_num_threads(left_behind + 1)


def test_blas_has_one_thread_unless_the_environment_asks_for_more() -> None:
    """Threads of several processes on few cores wait for each other at every product."""
    libraries = threadpoolctl.threadpool_info()
    threads = {each["num_threads"] for each in libraries if each["internal_api"] == "openblas"}
    assert threads == {int(os.environ["OMP_NUM_THREADS"])}
