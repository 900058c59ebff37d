/* For parsing alone. */
#include <asm/byteorder.h>
