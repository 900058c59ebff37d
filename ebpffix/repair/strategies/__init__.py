"""The strategies: a small file each, with `STRATEGY`, the facts, and `propose(refusal)`, a generator of candidates.

Its docstring is its page (`ebpffix --explain NAME`). They are found through the entry point group
`ebpffix.strategies`, so that anyone can ship more.
"""
