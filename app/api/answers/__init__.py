"""What clients get: the bodies of answers, and the way to each from the domain's values."""
