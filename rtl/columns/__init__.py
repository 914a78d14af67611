"""Dot-product columns: lanes that shift instead of multiplying, and the trees that add them up.

``plan`` says for each weight format how a lane makes a product; ``column`` is the block that does
so for a vector of lanes, of plain arithmetic (``generic``) or of 7-series primitives (``xc7``).
``dsp`` makes the same sums with multipliers, ``logarithmic`` those of logarithmic activations.
"""
