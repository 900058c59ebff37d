#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>

struct seen {
	__u64 packets;
	__u64 bytes;
};

struct bpf_map_def SEC("maps") by_protocol = {
	.type = BPF_MAP_TYPE_PERCPU_HASH,
	.key_size = sizeof(__u16),
	.value_size = sizeof(struct seen),
	.max_entries = 256,	/* of 65536 that there may be */
};

struct bpf_map_def SEC("maps") unknown = {
	.type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
	.key_size = sizeof(int),
	.value_size = sizeof(__u32),
	.max_entries = 128,
};

SEC("xdp_flows")
int flows(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = (void *)(long)ctx->data;
	char fmt[] = "short frame on %d\n";
	struct seen first = {}, *seen;
	__u16 protocol;

	if ((void *)(eth + 1) > end) {
		bpf_trace_printk(fmt, sizeof(fmt), ctx->ingress_ifindex);
		return XDP_DROP;
	}
	protocol = eth->h_proto;
	seen = bpf_map_lookup_elem(&by_protocol, &protocol);
	if (!seen) {
		bpf_map_update_elem(&by_protocol, &protocol, &first, BPF_NOEXIST);
		bpf_perf_event_output(ctx, &unknown, BPF_F_CURRENT_CPU, &protocol, sizeof(protocol));
		return XDP_PASS;
	}
	seen->packets++;
	seen->bytes += ctx->data_end - ctx->data;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
