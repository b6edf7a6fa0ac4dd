"""Programs that use clients which others' generators make of the OpenAPI document."""
