"""The Celery tasks: the only place where the ledger and the pipeline meet."""
