"""The real Kafka and PostgreSQL."""
