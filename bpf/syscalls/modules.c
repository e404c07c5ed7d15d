/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* init_module, finit_module, delete_module and bpf. */
#include "extract/data.h"
#include "extract/flags.h"
#include "template/shapes.h"

enum {
	SC_MAX_MODULE_ARGUMENTS = 4096, /* bytes of a module's parameters to keep */
};

/* Returns how many bytes of an image to keep, with room left for the module's parameters. */
static __always_inline u64 modules__kept(u64 length)
{
	const u64 room = SC_MAX_DATA - SC_MAX_MODULE_ARGUMENTS;

	return data__kept(length < room ? length : room);
}

SYSCALL_ENTER_EMPTY(init_module_e)

SYSCALL_EXIT(init_module_x)
{
	u64 length = extract__syscall_argument(call, 1);
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, init_module_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, init_module_x, res, call->ret);
	/* Parameter 2: img (type: PT_BYTEBUF) */
	auxmap__store_bytebuf(&auxmap, init_module_x, img, extract__syscall_argument(call, 0), modules__kept(length),
			      SC_USER);
	/* Parameter 3: length (type: PT_UINT64) */
	auxmap__store(&auxmap, init_module_x, length, length);
	/* Parameter 4: uargs (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, init_module_x, uargs, extract__syscall_argument(call, 2),
			      SC_MAX_MODULE_ARGUMENTS, SC_USER);
	auxmap__submit_event(call, &auxmap, init_module_x);
}

SYSCALL_ENTER_EMPTY(finit_module_e)

SYSCALL_EXIT(finit_module_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, finit_module_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, finit_module_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	auxmap__store(&auxmap, finit_module_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: uargs (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, finit_module_x, uargs, extract__syscall_argument(call, 1),
			      SC_MAX_MODULE_ARGUMENTS, SC_USER);
	/* Parameter 4: flags (type: PT_FLAGS32): the kernel's values */
	auxmap__store(&auxmap, finit_module_x, flags,
		      extract__syscall_argument(call, 2) & (PPM_finit_module_flags__MODULE_INIT_IGNORE_MODVERSIONS |
							    PPM_finit_module_flags__MODULE_INIT_IGNORE_VERMAGIC |
							    PPM_finit_module_flags__MODULE_INIT_COMPRESSED_FILE));
	auxmap__submit_event(call, &auxmap, finit_module_x);
}

static __always_inline u32 delete_module_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, 01000, delete_module_flags, O_TRUNC) |
	       SC_FLAG(flags, 04000, delete_module_flags, O_NONBLOCK);
}

SYSCALL_ENTER_EMPTY(delete_module_e)

SYSCALL_EXIT(delete_module_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, delete_module_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, delete_module_x, res, call->ret);
	/* Parameter 2: name (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, delete_module_x, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, delete_module_x, flags, delete_module_flags_to_scap(extract__syscall_argument(call, 1)));
	auxmap__submit_event(call, &auxmap, delete_module_x);
}

SYSCALL_ENTER(bpf_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, bpf_e))
		return;
	/* Parameter 1: cmd (type: PT_INT64) */
	ringbuf__store(&ringbuf, bpf_e, cmd, extract__int_argument(call, 0));
	ringbuf__submit_event(call, &ringbuf, bpf_e);
}

SYSCALL_EXIT(bpf_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, bpf_x))
		return;
	/* Parameter 1: fd (type: PT_FD): a descriptor, or the result of a command that returns none */
	ringbuf__store(&ringbuf, bpf_x, fd, call->ret);
	/* Parameter 2: cmd (type: PT_ENUMFLAGS32): the kernel's values */
	ringbuf__store(&ringbuf, bpf_x, cmd, extract__syscall_argument(call, 0));
	ringbuf__submit_event(call, &ringbuf, bpf_x);
}
