"""NeuralMF: its two towers, training in torch, serving in numpy."""
