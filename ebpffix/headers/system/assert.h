/* For parsing alone. */
#ifndef EBPFFIX_ASSERT_H
#define EBPFFIX_ASSERT_H

#define static_assert _Static_assert
#define assert(condition) ((void)0)

#endif
