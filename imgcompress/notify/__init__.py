"""Notify systems and people about a job: build, sign and send one webhook or e-mail."""
