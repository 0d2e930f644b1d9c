"""What a worker tells of itself: whether it is alive, and what it counts."""
