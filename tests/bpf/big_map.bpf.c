// A map that no check may make: 64 GB.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, __u32);
	__type(value, char[VALUE]);
} huge SEC(".maps");

SEC("xdp")
int with_big_map(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&huge, &key) ? XDP_PASS : XDP_DROP;
}
