/*
 * Loads every program of every object given, each by itself, and says what the kernel's verifier answered: one JSON
 * object a line. Nothing is attached or pinned. With --cap-bpf first, all capabilities but CAP_BPF and CAP_NET_ADMIN are
 * dropped before the loads.
 *
 * As process 1 of an initramfs it loads all of /objects (and those of /objects/cap-bpf with --cap-bpf's capabilities),
 * writes to the second serial port, and switches the machine off.
 *
 * A load is done twice: with statistics only, which gives the verdict however long the program is, and when that is no,
 * with the whole log.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define LOG_SIZE (256 * 1024)
#define LEVEL_TRACE 1
#define LEVEL_STATISTICS 4

static FILE *out;
static char said[4096]; /* libbpf's last words, for loads that no verifier saw */
static char short_log[LOG_SIZE], long_log[LOG_SIZE];

static int remember(enum libbpf_print_level level, const char *format, va_list args)
{
	char line[1024];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	if (!strstr(line, "PROG LOAD LOG") && strlen(said) + strlen(line) < sizeof(said))
		strcat(said, line);
	return 0;
}

static void print_string(const char *key, const char *text)
{
	fprintf(out, ", \"%s\": \"", key);
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (*c == '"' || *c == '\\')
			fprintf(out, "\\%c", *c);
		else if (*c < 0x20 || *c >= 0x7f)
			fprintf(out, "\\u%04x", *c);
		else
			fputc(*c, out);
	}
	fputc('"', out);
}

static void report(const char *path, const char *program, const char *verdict, int error, const char *log)
{
	struct utsname kernel;

	uname(&kernel);
	fprintf(out, "{\"errno\": %d", error);
	print_string("kernel", kernel.release);
	print_string("object", strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	print_string("program", program);
	print_string("verdict", verdict);
	print_string("log", log);
	fprintf(out, "}\n");
	fflush(out);
}

/* Load the program number `wanted` of the object alone. Returns 0 or the negative errno, 1 when there is no such program. */
static int load_one(const char *path, int wanted, char *name, size_t name_size, int level, char *log)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_program *program;
	int number = 0, error = 1;

	if (!object)
		return -errno;
	bpf_object__for_each_program(program, object) {
		bool is_wanted = number++ == wanted;

		bpf_program__set_autoload(program, is_wanted);
		if (!is_wanted)
			continue;
		error = 0;
		snprintf(name, name_size, "%s", bpf_program__name(program));
		bpf_program__set_log_buf(program, log, LOG_SIZE);
		bpf_program__set_log_level(program, level);
	}
	if (!error)
		error = bpf_object__load(object);
	bpf_object__close(object);
	return error;
}

static void load_all(const char *path)
{
	char name[128] = "";

	for (int n = 0;; n++) {
		int error, again;

		said[0] = short_log[0] = long_log[0] = 0;
		error = load_one(path, n, name, sizeof(name), LEVEL_STATISTICS, short_log);
		if (error == 1)
			return;
		if (!name[0]) {
			report(path, name, "untried", -error, said);
			return;
		}
		if (!error) {
			report(path, name, "accepted", 0, short_log);
			continue;
		}
		again = load_one(path, n, name, sizeof(name), LEVEL_TRACE, long_log);
		if (!short_log[0] && !long_log[0])
			report(path, name, "untried", -error, said);
		else
			report(path, name, "rejected", -error, again == -ENOSPC ? short_log : long_log);
	}
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	data[CAP_NET_ADMIN / 32].effective = data[CAP_NET_ADMIN / 32].permitted = 1u << CAP_NET_ADMIN % 32;
	data[CAP_BPF / 32].effective = data[CAP_BPF / 32].permitted = 1u << CAP_BPF % 32;
	if (syscall(SYS_capset, &header, data)) {
		perror("cannot drop capabilities");
		exit(1);
	}
}

static void load_folder(const char *folder, bool cap_bpf)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, alphasort);

	if (fork() == 0) {
		if (cap_bpf)
			drop_capabilities();
		for (int i = 0; i < n; i++) {
			char path[512];
			struct stat status;

			snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
			if (!stat(path, &status) && S_ISREG(status.st_mode))
				load_all(path);
		}
		exit(0);
	}
	wait(NULL);
}

static void run_as_init(void)
{
	struct termios raw;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	out = fopen("/dev/ttyS1", "w");
	if (out) {
		tcgetattr(fileno(out), &raw);
		cfmakeraw(&raw);
		tcsetattr(fileno(out), TCSANOW, &raw);
		load_folder("/objects", false);
		load_folder("/objects/cap-bpf", true);
		fprintf(out, "end\n");
		fflush(out);
		tcdrain(fileno(out));
	}
	sync();
	reboot(RB_POWER_OFF);
}

int main(int argc, char **argv)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int first = 1;

	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	libbpf_set_print(remember);
	if (getpid() == 1) {
		run_as_init();
		return 1;
	}
	out = stdout;
	if (argc > 1 && !strcmp(argv[1], "--cap-bpf")) {
		drop_capabilities();
		first = 2;
	}
	for (int i = first; i < argc; i++)
		load_all(argv[i]);
	return 0;
}
