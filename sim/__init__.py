"""Executors: the program simulator, the compiled RTL simulation, bench helpers."""
