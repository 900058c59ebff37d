// A map as -DDEFINITION= has it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	DEFINITION
} m SEC(".maps");

SEC("xdp")
int with_map(struct xdp_md *ctx)
{
	return (long)&m & 1 ? XDP_PASS : XDP_DROP;
}
