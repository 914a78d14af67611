"""One file an engine: in which order it wants its words, and what that costs."""
