"""Models: what a network takes on a machine, and a machine on a part, without making either."""
