"""The outside world: the database, files, Redis, and the live state each worker keeps in memory."""
