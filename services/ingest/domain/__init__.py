"""The pure part of ingest: bytes in, accepted or refused with a reason out; time is an argument."""
