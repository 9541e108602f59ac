"""Alerts: who is told, when, by which channel; for now the desks of the warning's own street and district and of the city, in the app."""
