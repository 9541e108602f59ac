"""The ways in, one module each: what it hears it judges, and it answers after Kafka's acknowledgement."""
