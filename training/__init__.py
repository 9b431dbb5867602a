"""The offline job: sources → matrix → split → models → blend → evaluate → publish."""
