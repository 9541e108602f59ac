"""Rules: their evaluation and their state; what warns and why."""
