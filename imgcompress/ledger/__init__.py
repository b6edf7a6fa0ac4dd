"""The ledger: the tables, and the only code that changes the state of a job or an image."""
