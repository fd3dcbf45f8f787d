"""NeuralMF: its two towers, their training in torch, and serving in numpy."""
