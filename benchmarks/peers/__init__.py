"""What benchmarks/speed.py measures beside each other, and what it gives them to work on."""
