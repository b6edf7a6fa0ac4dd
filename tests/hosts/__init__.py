"""Hosts with networks of their own, which a test can cut off: see `network.py`."""
