"""The events of Tongguan: frozen pydantic models, the region tree, the topics, and the compact values of the hot topics."""
