"""Real brokers as private, temporary processes on loopback, for tests and benchmarks."""
