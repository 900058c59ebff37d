"""The only code that knows libclang: from a file's bytes to a Unit that transforms can ask."""

from ebpffix.frontend.clang import LoadError
from ebpffix.frontend.node import LOOPS, Node
from ebpffix.frontend.type import Field, Type
from ebpffix.frontend.unit import Macro, MapCall, Unit

__all__ = ["LOOPS", "Field", "LoadError", "Macro", "MapCall", "Node", "Type", "Unit"]
