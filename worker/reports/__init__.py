"""Reports by mail: what became of a message (RFC 3464), and how TLS went with a domain (RFC 8460)."""
