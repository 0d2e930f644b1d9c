"""What an attempt comes to: the outcome types, and how a receiver's words become one. Pure."""
