"""The rules: plain functions of (connection, context, values, now), in three wings: machines → money → people.

The caller owns the transaction; nothing here commits, reads a clock, or touches the network.
"""
