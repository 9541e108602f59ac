"""The pure part of rules: records in, warnings out; time comes from the records."""
