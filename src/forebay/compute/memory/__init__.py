"""A provider without machines, for tests: `provider` is the door and keeps the machines, `volumes` what is stored."""

from forebay.compute.memory.provider import GPU, MINIMUM, POOL, SMALL, MemoryProvider, host_key_of

__all__ = ["GPU", "MINIMUM", "POOL", "SMALL", "MemoryProvider", "host_key_of"]
