"""Hardware only: engines, memories, control and the top, in Amaranth."""
