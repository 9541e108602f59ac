"""A real Kafka broker and a real PostgreSQL from pip packages, as descriptions of what to run.

The functions here prepare folders and say what to run and how to know that it answers; the supervisor owns the processes.
"""
