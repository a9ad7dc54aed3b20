"""Clacks: an event bus for XML events."""
