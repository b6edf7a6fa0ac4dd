"""Notify systems and people of a job: build, sign and send one webhook or e-mail."""
