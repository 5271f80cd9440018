"""What the benchmarks of the way into the logs database share: events, ready files, workers, the ways of others."""
