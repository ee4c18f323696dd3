"""What can be launched, what runs, and the keys that open it."""
