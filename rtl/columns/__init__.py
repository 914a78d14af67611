"""Dot-product columns: lanes that shift instead of multiplying, and the trees that add them up.

``plan`` says for each weight format how a lane makes a product; ``column`` is the block that does
so for a vector of lanes, out of plain arithmetic or, by ``xc7``, out of 7-series primitives.
"""
