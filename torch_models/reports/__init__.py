"""Tables, pictures and pages made of records, without PyTorch.

May import: records, sparsity_theory; numpy, matplotlib, PIL, jinja2.
"""
