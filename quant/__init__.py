"""Number formats, quantizers, calibration, importers and the integer reference."""
