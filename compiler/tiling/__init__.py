"""Networks larger than a machine's memories: layers cut into tiles that fit."""
