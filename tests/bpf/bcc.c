// A BCC program with a function of each kind, one of them refused.
#include <uapi/linux/ptrace.h>
#include <uapi/linux/bpf.h>
#include <linux/sched.h>

BPF_HASH(seen, u32, u64, 64);

int kprobe__do_exit(struct pt_regs *ctx, long code)
{
	u32 pid = bpf_get_current_pid_tgid();

	seen.delete(&pid);
	return 0;
}

int hidden_read(struct pt_regs *ctx, struct task_struct *task)
{
	u32 pid = min_t(int, task->pid, 7);
	u64 one = 1;

	seen.update(&pid, &one);
	return 0;
}

int pass_all(struct xdp_md *ctx)
{
	return XDP_PASS;
}

int part_of_the_stack(struct __sk_buff *skb)
{
	struct {
		u64 never_set;
		u64 value;
	} record;

	record.value = skb->mark;
	return bpf_skb_store_bytes(skb, 0, &record, sizeof(record), 0);
}

KFUNC_PROBE(do_exit, long code)
{
	return 0;
}
