/* What headers shared with user space name. For parsing alone: no program can call these. */
#ifndef EBPFFIX_STDLIB_H
#define EBPFFIX_STDLIB_H

#include <stddef.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void free(void *memory);
void exit(int code);
int abs(int value);
int atoi(const char *text);

#endif
