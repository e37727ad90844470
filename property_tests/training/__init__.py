"""Networks as code: modules, initialization, ensembles, the training step and the loop of them.

May import: support, sparsity_theory, torch_models; pytest, hypothesis, numpy, torch.
"""
