/* bool, true and false, for parsing alone. A vmlinux.h has them as a typedef and an enum: then nothing is left to do. */
#ifndef EBPFFIX_STDBOOL_H
#define EBPFFIX_STDBOOL_H

#if !defined(__VMLINUX_H__) && !defined(__cplusplus) && __STDC_VERSION__ < 202000L
#define bool _Bool
#define true 1
#define false 0
#endif
#define __bool_true_false_are_defined 1

#endif
