"""The command line, the public Python API and the reports."""
