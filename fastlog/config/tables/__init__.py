"""The rows of the table of settings, by room."""
