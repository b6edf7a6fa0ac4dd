"""The Celery application, its tasks, and the worker's pipeline: fetch, compress, store, record."""
