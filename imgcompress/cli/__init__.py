"""The commands; each is loaded on demand, and imports only what it needs."""
