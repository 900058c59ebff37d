/* For parsing alone: what the C library's headers say of functions, none of which matters here. */
#ifndef EBPFFIX_SYS_CDEFS_H
#define EBPFFIX_SYS_CDEFS_H

#define __BEGIN_DECLS
#define __END_DECLS
#define __THROW
#define __THROWNL
#define __NTH(function) function
#define __NTHNL(function) function
#define __wur
#define __nonnull(parameters)
#define __returns_nonnull
#define __attribute_pure__
#define __attribute_const__
#define __attribute_malloc__
#define __attribute_deprecated__
#define __attribute_deprecated_msg__(message)
#define __attribute_warn_unused_result__
#define __attribute_format_arg__(x)
#define __attribute_format_strfmon__(a, b)
#define __attribute_alloc_size__(parameters)
#define __attribute_alloc_align__(parameters)
#define __attribute_copy__(x)
#define __attribute_maybe_unused__
#define __attribute_nonstring__
#define __attribute_returns_twice__
#define __attribute_artificial__
#define __attr_access(parameters)
#define __attr_access_none(parameter)
#define __fortified_attr_access(access, size, object)
#define __attr_dealloc(function, argument)
#define __attr_dealloc_free
#define __COLD
#define __flexarr []
#define __restrict_arr
#define __ptr_t void *
#define __long_double_t long double
#define __CONCAT(x, y) x##y
#define __STRING(x) #x
#define __P(parameters) parameters
#define __PMT(parameters) parameters
#define __ASMNAME(name)
#define __REDIRECT(name, prototype, alias) name prototype
#define __REDIRECT_NTH(name, prototype, alias) name prototype
#define __REDIRECT_NTHNL(name, prototype, alias) name prototype
#define __REDIRECT_LDBL(name, prototype, alias) name prototype
#define __REDIRECT_NTH_LDBL(name, prototype, alias) name prototype
#define __LDBL_REDIR_DECL(name)
#define __LDBL_REDIR1_DECL(name, alias)
#define __glibc_has_attribute(name) 0
#define __glibc_has_builtin(name) 0
#define __glibc_has_extension(name) 0
#define __glibc_likely(x) (x)
#define __glibc_unlikely(x) (x)
#define __glibc_macro_warning(message)
#define __glibc_clang_prereq(major, minor) 0
#define __HAVE_GENERIC_SELECTION 0

#endif
