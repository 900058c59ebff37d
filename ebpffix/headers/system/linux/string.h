/* For parsing alone: programs that mean the kernel's string functions find the same declarations. */
#include <string.h>
