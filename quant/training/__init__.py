"""Training: float networks, and methods that train weights which the hardware can hold."""
