"""One file an engine: the part that turns activations and weights into sums."""
