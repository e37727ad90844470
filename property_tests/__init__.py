"""Theory against itself and against networks, one file per part of the paper.

May import: sparsity_theory, torch_models; pytest, hypothesis, mpmath, flint, grimp, numpy, scipy,
torch, sklearn, safetensors, filelock, distributed, typer, rich.
"""
