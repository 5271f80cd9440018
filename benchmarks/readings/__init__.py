"""What benchmarks/reading.py measures, and on what rows."""
