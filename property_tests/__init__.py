"""The claims of the paper, and tests that judge them: theory against itself and against networks.

``claims.toml`` lists the claims; ``python -m property_tests "Eq. 17"`` shows one with its tests.
Tests lie in rooms by subject: `theory`, `proofs`, `networks` and `tables` hold the paper's claims,
`training`, `experiments` and `library` the code, `meta` the tools of this suite. What tests share
lies in `support`, and what they compare with in `references`; no room of tests imports another.

May import: torch_models; pytest, hypothesis, typer, rich, playwright.
"""

import os

# Before NumPy, SciPy and torch are loaded: the matrices of tests are small, threads wait for each
# other at every product, and pytest-xdist has a process for every processor.
os.environ.setdefault("OMP_NUM_THREADS", "1")
