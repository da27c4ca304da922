"""What is predicted: loss, metrics, groups, and the score that is explained."""
