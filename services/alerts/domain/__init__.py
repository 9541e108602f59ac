"""The pure part of alerts: a warning in, who is told out."""
