"""What the processes say about themselves: `logs` on standard error, `metrics` for Prometheus."""
