/* The C library looks for this on a target that it takes for a 32-bit x86. For parsing alone: it is empty. */
