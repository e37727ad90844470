"""Data sets, records of runs, sweeps and the command line, as a user meets them.

May import: support, sparsity_theory, torch_models; tools, pytest, hypothesis, numpy, torch, typer,
filelock, safetensors, dask, distributed, playwright.
"""
