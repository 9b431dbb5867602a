"""HTTP only: parse, call one flow, reply."""
