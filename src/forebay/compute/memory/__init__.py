"""The provider without machines: `provider` is the door, `terminals` its shells, `volumes` what is stored."""

from forebay.compute.memory.provider import GPU, MINIMUM, POOL, SMALL, MemoryProvider, host_key_of

__all__ = ["GPU", "MINIMUM", "POOL", "SMALL", "MemoryProvider", "host_key_of"]
