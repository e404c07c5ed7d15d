/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* mount, umount, umount2, fsconfig. */
#include "extract/data.h"
#include "extract/mount_flags.h"
#include "template/shapes.h"

SYSCALL_ENTER(mount_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, mount_e))
		return;
	/* Parameter 1: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, mount_e, flags, mount_flags_to_scap(extract__syscall_argument(call, 3)));
	ringbuf__submit_event(call, &ringbuf, mount_e);
}

SYSCALL_EXIT(mount_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, mount_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, mount_x, res, call->ret);
	/* Parameter 2: dev (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, mount_x, dev, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: dir (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, mount_x, dir, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: type (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, mount_x, type, extract__syscall_argument(call, 2), SC_MAX_PATH, SC_USER);
	/* Parameter 5: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, mount_x, flags, mount_flags_to_scap(extract__syscall_argument(call, 3)));
	auxmap__submit_event(call, &auxmap, mount_x);
}

/* umount without flags, a 32-bit call only. */
SYSCALL_ENTER_EMPTY(umount_e)

SYSCALL_EXIT(umount_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, umount_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, umount_x, res, call->ret);
	/* Parameter 2: name (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, umount_x, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	auxmap__submit_event(call, &auxmap, umount_x);
}

SYSCALL_ENTER(umount2_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, umount2_e))
		return;
	/* Parameter 1: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, umount2_e, flags, umount_flags_to_scap(extract__syscall_argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, umount2_e);
}

SYSCALL_EXIT(umount2_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, umount2_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, umount2_x, res, call->ret);
	/* Parameter 2: name (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, umount2_x, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, umount2_x, flags, umount_flags_to_scap(extract__syscall_argument(call, 1)));
	auxmap__submit_event(call, &auxmap, umount2_x);
}

/* Returns the value if the command takes a string, else NULL; NULL for a failed call, whose value is not recorded. */
static __always_inline const void *fsconfig__string(const struct sc_call *call, u32 command)
{
	bool is_string = command == PPM_fsconfig_cmds__FSCONFIG_SET_STRING ||
			 command == PPM_fsconfig_cmds__FSCONFIG_SET_PATH ||
			 command == PPM_fsconfig_cmds__FSCONFIG_SET_PATH_EMPTY;

	return !call->ret && is_string ? (const void *)extract__syscall_argument(call, 3) : NULL;
}

/* Returns the length of the value if the command takes bytes, else 0; 0 for a failed call. */
static __always_inline u64 fsconfig__length(const struct sc_call *call, u32 command)
{
	s64 length = extract__int_argument(call, 4);

	if (call->ret || command != PPM_fsconfig_cmds__FSCONFIG_SET_BINARY || length < 0)
		return 0;
	return data__kept(length);
}

SYSCALL_ENTER_EMPTY(fsconfig_e)

SYSCALL_EXIT(fsconfig_x)
{
	struct auxmap auxmap;
	const u32 command = extract__syscall_argument(call, 1);
	const u64 value_pointer = extract__syscall_argument(call, 3);

	if (!auxmap__begin(call, &auxmap, fsconfig_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, fsconfig_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	auxmap__store(&auxmap, fsconfig_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: cmd (type: PT_ENUMFLAGS32): the kernel's values */
	auxmap__store(&auxmap, fsconfig_x, cmd, command);
	/* Parameter 4: key (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, fsconfig_x, key, extract__syscall_argument(call, 2), SC_MAX_PATH, SC_USER);
	/* Parameter 5: value_bytebuf (type: PT_BYTEBUF) */
	auxmap__store_bytebuf(&auxmap, fsconfig_x, value_bytebuf, value_pointer, fsconfig__length(call, command),
			      SC_USER);
	/* Parameter 6: value_charbuf (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, fsconfig_x, value_charbuf, fsconfig__string(call, command), SC_MAX_PATH,
			      SC_USER);
	/* Parameter 7: aux (type: PT_INT32) */
	auxmap__store(&auxmap, fsconfig_x, aux, extract__int_argument(call, 4));
	auxmap__submit_event(call, &auxmap, fsconfig_x);
}
