// A program for each verdict: the tests replace one text in it by another.
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "fixes.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, struct id);
	__type(value, __u64);
} counts SEC(".maps");

SEC("xdp")
int count(struct xdp_md *ctx)
{
	struct id id;
	__u64 *seen, one = 1;

	memset(&id, 0, sizeof(id));
	id.port = ctx->ingress_ifindex;
	seen = bpf_map_lookup_elem(&counts, &id);
	if (!seen) {
		bpf_map_update_elem(&counts, &id, &one, BPF_ANY);
		return XDP_PASS;
	}
	*seen += STEP;
	bpf_map_update_elem(&counts, &id, seen, BPF_EXIST);
	return XDP_DROP;
}

SEC("kprobe/do_exit")
int BPF_KPROBE(leave)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return task->pid;
}

SEC("kprobe/do_exit")
int BPF_KPROBE(leave_twice)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return task->tgid + task->exit_code;
}

SEC("fentry/do_exit")
int BPF_PROG(traced, long code)
{
	return code != 0;
}
