"""Choosing parameters on a validation part of the training data."""
