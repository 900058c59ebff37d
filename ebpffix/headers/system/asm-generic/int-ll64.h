/* For parsing alone. */
#include <asm/types.h>
