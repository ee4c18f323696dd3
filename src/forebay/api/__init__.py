"""The wire: one file a noun. Programs written for Spheron's public API find here what they know, see `docs/api.md`."""
