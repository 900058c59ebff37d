/* The name that bpf_tracing.h had before libbpf 0.1, for parsing alone. */
#ifndef EBPFFIX_BPF_TRACE_HELPERS_H
#define EBPFFIX_BPF_TRACE_HELPERS_H

#include <bpf/bpf_tracing.h>

#endif
