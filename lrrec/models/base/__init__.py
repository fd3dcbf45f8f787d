"""What the models stand on: recommending, factors, candidates, results."""
