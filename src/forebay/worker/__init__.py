"""Reconcilers: each looks for what is not as it should be, a bounded batch at a time, and mends it.

Run again, it does nothing.
"""
