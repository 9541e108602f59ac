"""Sources of events that are replayed or simulated: clients of the public interfaces, like any department."""
