"""One file per thing the service does: fetch, call the engine, record. Each reads top to bottom."""
