"""beliefmod from Python: a run opened, its tables, charts, looks inside and adapters."""
