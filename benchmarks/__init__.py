"""Commands that measure what is stated."""
