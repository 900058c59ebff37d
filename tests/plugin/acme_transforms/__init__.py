"""Transforms of Acme: each module is one."""
