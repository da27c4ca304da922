"""Preemption-safe batch jobs that train, prune and explain multi-task vision networks."""

__version__ = "0.1.0"
