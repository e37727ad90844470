"""What is measured once and recorded, or compared with the theory layer by layer.

May import: experiments, records, training, networks, data, sparsity_theory; torch, numpy, scipy.
"""
