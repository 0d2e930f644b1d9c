"""From a recipient's domain to the hosts that take its mail, in the order they are tried."""
