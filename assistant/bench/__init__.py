"""Benchmarks: what is measured, how it is said, and the machines without hardware that they run on."""
