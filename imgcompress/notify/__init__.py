"""Tell systems and people what became of a job: build, sign and send one attempt."""
