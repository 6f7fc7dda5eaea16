"""Speed and memory beside the peers' ways of doing the same, as ratios in one run: `python -m benchmarks`."""
