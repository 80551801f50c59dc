"""Broken bytes into everything that parses what it does not trust."""
