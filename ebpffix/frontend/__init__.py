"""The only code that knows libclang: from a file's bytes to a Unit that transforms can ask."""

from ebpffix.frontend.node import Node, is_pointer, pointee
from ebpffix.frontend.unit import Macro, MapCall, Unit

__all__ = ["Macro", "MapCall", "Node", "Unit", "is_pointer", "pointee"]
