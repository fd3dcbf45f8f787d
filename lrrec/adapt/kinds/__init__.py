"""The kinds of adapters, each in a file, with what they compute by."""
