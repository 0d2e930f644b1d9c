"""How the API listens: uvicorn, with connections of our own."""
