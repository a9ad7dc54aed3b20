"""Node constructors."""
