"""What workers do with Redis: lanes with their drains and claims, reports, transport policies, sources."""
