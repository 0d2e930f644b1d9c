"""Whether domains are what their projects say: looked up in DNS, and asked before mail of theirs is sent."""
