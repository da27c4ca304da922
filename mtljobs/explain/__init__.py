"""Where the evidence for a prediction lies, and whether it holds when it is taken away."""
