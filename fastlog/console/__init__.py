"""The `fastlog` command: one module for each noun."""
