"""What the theory and the training cost: benchmarks for airspeed velocity (asv)."""
