"""Mapping of layers onto a machine: memory plan, instructions, exact cycles."""
