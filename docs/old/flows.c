#include <stdio.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static void on_unknown(void *ctx, int cpu, void *data, __u32 size)
{
	printf("first of its kind: %04x\n", *(__u16 *)data);
}

int main(void)
{
	struct bpf_object *object = bpf_object__open("flows.bpf.o");
	struct perf_buffer *buffer;

	if (!object || bpf_object__load(object))
		return 1;
	buffer = perf_buffer__new(bpf_object__find_map_fd_by_name(object, "unknown"), 8, on_unknown, NULL, NULL, NULL);
	while (buffer && perf_buffer__poll(buffer, 100) >= 0)
		;
	return 0;
}
