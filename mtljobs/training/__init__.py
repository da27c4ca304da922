"""The one training loop: resume, schedule, hooks."""
