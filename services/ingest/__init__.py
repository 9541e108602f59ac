"""Ingest: the ways in, validation, the registry of sensors, and what was rejected."""
