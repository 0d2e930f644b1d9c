"""Real servers on loopback that a test scripts: they behave, fail and misbehave on demand."""
