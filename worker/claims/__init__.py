"""What a drain holds while it works: its lease, its allowance, and the outcomes that it insists on settling."""
