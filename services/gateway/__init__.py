"""Gateway: REST, live sessions, the pages, and who may see what."""
