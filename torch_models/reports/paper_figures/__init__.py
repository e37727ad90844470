"""Figures 1 to 14 of the paper: what each of them shows, computed from the theory or from records.

Where a caption leaves a choice open (which thresholds, how far from the edge of chaos), it is made
here, in the words of the library's claims, and the picture's own caption says so.
"""
