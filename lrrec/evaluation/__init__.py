"""How good a model is, said so that it can be believed."""
