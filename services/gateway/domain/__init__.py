"""The pure part of the gateway: who may see what, and the live view."""
