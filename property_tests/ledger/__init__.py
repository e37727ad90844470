"""The ledger: what is claimed, which tests judge it, and what became of them.

`claims` decides without pytest, `plugin` watches a run, and `formats` writes the result.

May import: torch_models; pytest.
"""
