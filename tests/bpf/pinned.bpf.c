// Asks libbpf to pin its map, which a check must not do.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} ebpffix_never_pinned SEC(".maps");

SEC("xdp")
int uses_pinned(struct xdp_md *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&ebpffix_never_pinned, &key) ? XDP_PASS : XDP_DROP;
}
