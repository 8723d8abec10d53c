"""What lock files are called."""

LOCK = ".lock"
HELD = ".lock.held"  # see heartbeat.py
