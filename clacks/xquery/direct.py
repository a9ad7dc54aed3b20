"""Direct constructors."""
