"""Theory against itself and against networks, one file per part of the paper."""
