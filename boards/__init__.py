"""Parts, boards and the open synthesis flow."""
