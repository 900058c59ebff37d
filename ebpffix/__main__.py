import os
import sys

# `python -m` looks for modules in the current folder first, which may be a stranger's tree. From here on it is not
# looked into. (A package `ebpffix` there is imported instead of this one: that only the command prevents, or `-I`.)
here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if not sys.flags.safe_path and sys.path and os.path.realpath(sys.path[0] or ".") != os.path.realpath(here):
    del sys.path[0]

from ebpffix.app.cli import main  # noqa: E402

main()
