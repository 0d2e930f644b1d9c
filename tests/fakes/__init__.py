"""Servers with behaviour for tests: they listen on loopback and do what a test tells them."""
