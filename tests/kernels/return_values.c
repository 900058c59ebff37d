/*
 * Process 1 of a machine that tells what return probes see: attaches all programs of each object in /objects, calls
 * ftruncate(77, 123456) a hundred times, and writes what the object's map `right` has counted to the second serial port,
 * one JSON object a line. Then it switches the machine off.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <termios.h>
#include <unistd.h>

#define FORMS 4
#define CALLS 100
#define FD 77
#define LENGTH 123456

struct counts {
	unsigned long long calls, fd, length;
};

static const char *const forms[FORMS] = { "PT_REGS_PARMn(ctx)", "ctx->di", "BPF_KPROBE", "ctx->bx" };
static FILE *out;

static int attach_all(struct bpf_object *object)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object) {
		if (!bpf_program__attach(program)) {
			fprintf(stderr, "%s: not attached: %s\n", bpf_program__name(program), strerror(errno));
			return -1;
		}
	}
	return 0;
}

static void tell(const char *name, struct bpf_object *object)
{
	struct utsname kernel;
	int map = bpf_object__find_map_fd_by_name(object, "right");

	uname(&kernel);
	for (unsigned int form = 0; form < FORMS; form++) {
		struct counts counts = {};

		bpf_map_lookup_elem(map, &form, &counts);
		fprintf(out,
			"{\"kernel\": \"%s\", \"object\": \"%s\", \"form\": \"%s\", \"calls\": %llu, \"fd\": %llu, \"length\": %llu}\n",
			kernel.release, name, forms[form], counts.calls, counts.fd, counts.length);
	}
	fflush(out);
}

static void try_object(const char *name)
{
	char path[512];
	struct bpf_object *object;

	snprintf(path, sizeof(path), "/objects/%s", name);
	object = bpf_object__open_file(path, NULL);
	if (!object || bpf_object__load(object) || attach_all(object))
		return;
	for (int n = 0; n < CALLS; n++)
		if (ftruncate(FD, LENGTH))
			perror("ftruncate");
	tell(name, object);
	bpf_object__close(object);
}

int main(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	struct dirent **entries;
	struct termios raw;
	int number;

	if (getpid() != 1) {
		fprintf(stderr, "for process 1 of a machine of its own: see return_values.py\n");
		return 1;
	}
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL);
	out = fopen("/dev/ttyS1", "w");
	if (out) {
		tcgetattr(fileno(out), &raw);
		cfmakeraw(&raw);
		tcsetattr(fileno(out), TCSANOW, &raw);
		dup2(open("/file", O_CREAT | O_RDWR, 0600), FD);
		number = scandir("/objects", &entries, NULL, alphasort);
		for (int i = 0; i < number; i++)
			if (entries[i]->d_name[0] != '.')
				try_object(entries[i]->d_name);
		fprintf(out, "end\n");
		fflush(out);
		tcdrain(fileno(out));
	}
	sync();
	reboot(RB_POWER_OFF);
	return 1;
}
