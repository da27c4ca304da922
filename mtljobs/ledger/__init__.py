"""What has happened: paths, records, attempts, claims, and the one commit by rename.

Any process that uses this room may be killed at any instruction. Standard library only.
"""
