/* What headers shared with user space name. For parsing alone: no program can call these. */
#ifndef EBPFFIX_STDIO_H
#define EBPFFIX_STDIO_H

#include <stddef.h>
#include <stdarg.h>

typedef struct ebpffix_file FILE;
extern FILE *stdin, *stdout, *stderr;
int printf(const char *format, ...);
int fprintf(FILE *stream, const char *format, ...);
int snprintf(char *to, size_t size, const char *format, ...);

#endif
