"""Taking a trained model to a new domain: adapters, the guard that judges them, banks of many."""
