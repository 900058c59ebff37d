"""The transforms that ship with ebpffix, one module each, named after the transform."""
