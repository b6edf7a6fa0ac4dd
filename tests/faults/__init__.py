"""Faults for tests and for `benchmarks/chaos.py`: what can be killed, cut, filled up or doubled."""
