"""The command ``sparsity-theory``: talks to the user, and computes nothing.

May import: reports, measurements, experiments, records, training, networks, data, sparsity_theory;
typer, rich, numpy, torch, distributed.
"""
