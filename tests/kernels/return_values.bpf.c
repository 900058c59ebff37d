/* Return probes that read arguments from registers, in each way that people write it: the form before the rewrite.
 * return_values_guest.py calls the function with fd 77 and length 123456; `right` counts what a program gets of that. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define FD 77
#define LENGTH 123456

struct counts {
	u64 calls;
	u64 fd;
	u64 length;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, u32);
	__type(value, struct counts);
} right SEC(".maps");

static __always_inline int count(u32 form, u64 fd, u64 length)
{
	struct counts *counts = bpf_map_lookup_elem(&right, &form);

	if (!counts)
		return 0;
	counts->calls++;
	counts->fd += fd == FD;
	counts->length += length == LENGTH;
	return 0;
}

SEC("kretprobe/do_sys_ftruncate")
int macros_exit(struct pt_regs *ctx)
{
	unsigned int fd = (unsigned int)PT_REGS_PARM1(ctx);
	loff_t length = (loff_t)PT_REGS_PARM2(ctx);

	return count(0, fd, length);
}

SEC("kretprobe/do_sys_ftruncate")
int registers_exit(struct pt_regs *ctx)
{
	unsigned int fd = ctx->di;
	loff_t length = ctx->si;

	return count(1, fd, length);
}

SEC("kretprobe/do_sys_ftruncate")
int BPF_KPROBE(parameters_exit, unsigned int fd, loff_t length)
{
	return count(2, fd, length);
}

SEC("kretprobe/do_sys_ftruncate")
int saved_exit(struct pt_regs *ctx)
{
	unsigned int fd = ctx->bx;
	loff_t length = ctx->cx;

	return count(3, fd, length);
}

char LICENSE[] SEC("license") = "GPL";
