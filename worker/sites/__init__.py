"""Sites: the receiving systems behind domains, and how much each of them is given at a time."""
