"""AXI4 and AXI4-Lite: signatures, a slave in front of the host bus, masters of memory ports."""
