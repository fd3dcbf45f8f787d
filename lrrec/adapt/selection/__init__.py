"""Comparing adapters on validation users, and choosing among them."""
