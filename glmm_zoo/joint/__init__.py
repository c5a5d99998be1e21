"""Joint models of markers and the time to an event."""
