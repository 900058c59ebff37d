"""ebpffix reads eBPF C, rewrites risky patterns into the known-good form, and proves each change."""

__version__ = "0.1.0"
