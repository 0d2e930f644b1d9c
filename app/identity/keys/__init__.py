"""Keys that sign: their lives, their secrets in the vault, and which of them sign for whom."""
