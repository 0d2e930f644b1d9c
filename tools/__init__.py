"""Small programs that make runs; nothing of them is shipped."""
