"""Widths of weights and activations: what they cost, and which serve best within a budget."""
