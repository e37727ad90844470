"""What the theory is compared with: it shares no code with it.

`definitions` computes from the definitions in 50-digit arithmetic, `balls` in ball arithmetic and
`forms` in integers; `paper` has the formulas as printed, `bivariate.json` correlation integrals to
20 digits.

May import: mpmath, flint.
"""
