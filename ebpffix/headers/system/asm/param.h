/* For parsing alone. */
#ifndef HZ
#define HZ 100
#endif
