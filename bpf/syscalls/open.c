/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Calls that open a file by path: open, openat, openat2, creat. */
#include "extract/opened.h"

SYSCALL_ENTER(open_e)
{
	struct auxmap auxmap;
	u32 flags = extract__syscall_argument(call, 1);
	u32 mode = extract__syscall_argument(call, 2);

	if (!auxmap__begin(call, &auxmap, open_e))
		return;
	/* Parameter 1: name (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, open_e, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 2: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, open_e, flags, open_flags_to_scap(flags));
	/* Parameter 3: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, open_e, mode, open_mode_to_scap(flags, mode));
	auxmap__submit_event(call, &auxmap, open_e);
}

SYSCALL_EXIT(open_x)
{
	struct auxmap auxmap;
	u32 flags = extract__syscall_argument(call, 1);
	u32 mode = extract__syscall_argument(call, 2);
	struct sc_opened opened = extract__opened(call->ret);

	if (!auxmap__begin(call, &auxmap, open_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, open_x, fd, call->ret);
	/* Parameter 2: name (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, open_x, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, open_x, flags, open_flags_to_scap(flags) | opened_flags_to_scap(&opened));
	/* Parameter 4: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, open_x, mode, open_mode_to_scap(flags, mode));
	/* Parameter 5: dev (type: PT_UINT32) */
	auxmap__store(&auxmap, open_x, dev, opened.dev);
	/* Parameter 6: ino (type: PT_UINT64) */
	auxmap__store(&auxmap, open_x, ino, opened.ino);
	opened__submit(call, &auxmap, open_x, name, flags, opened);
}

SYSCALL_ENTER(openat_e)
{
	struct auxmap auxmap;
	u32 flags = extract__syscall_argument(call, 2);
	u32 mode = extract__syscall_argument(call, 3);

	if (!auxmap__begin(call, &auxmap, openat_e))
		return;
	/* Parameter 1: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, openat_e, dirfd, extract__int_argument(call, 0));
	/* Parameter 2: name (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, openat_e, name, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 3: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, openat_e, flags, open_flags_to_scap(flags));
	/* Parameter 4: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, openat_e, mode, open_mode_to_scap(flags, mode));
	auxmap__submit_event(call, &auxmap, openat_e);
}

SYSCALL_EXIT(openat_x)
{
	struct auxmap auxmap;
	u32 flags = extract__syscall_argument(call, 2);
	u32 mode = extract__syscall_argument(call, 3);
	struct sc_opened opened = extract__opened(call->ret);

	if (!auxmap__begin(call, &auxmap, openat_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, openat_x, fd, call->ret);
	/* Parameter 2: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, openat_x, dirfd, extract__int_argument(call, 0));
	/* Parameter 3: name (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, openat_x, name, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, openat_x, flags, open_flags_to_scap(flags) | opened_flags_to_scap(&opened));
	/* Parameter 5: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, openat_x, mode, open_mode_to_scap(flags, mode));
	/* Parameter 6: dev (type: PT_UINT32) */
	auxmap__store(&auxmap, openat_x, dev, opened.dev);
	/* Parameter 7: ino (type: PT_UINT64) */
	auxmap__store(&auxmap, openat_x, ino, opened.ino);
	opened__submit(call, &auxmap, openat_x, name, flags, opened);
}

/* Returns openat2's struct open_how, the same for 32-bit callers; all 0 if it cannot be read. */
static __always_inline struct open_how openat2__how(const struct sc_call *call)
{
	struct open_how how;

	/* A failed read fills it with zeros. */
	bpf_probe_read_user(&how, sizeof(how), (const void *)extract__syscall_argument(call, 2));
	return how;
}

SYSCALL_ENTER(openat2_e)
{
	struct auxmap auxmap;
	struct open_how how = openat2__how(call);

	if (!auxmap__begin(call, &auxmap, openat2_e))
		return;
	/* Parameter 1: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, openat2_e, dirfd, extract__int_argument(call, 0));
	/* Parameter 2: name (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, openat2_e, name, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 3: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, openat2_e, flags, open_flags_to_scap(how.flags));
	/* Parameter 4: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, openat2_e, mode, open_mode_to_scap(how.flags, how.mode));
	/* Parameter 5: resolve (type: PT_FLAGS32) */
	auxmap__store(&auxmap, openat2_e, resolve, resolve_flags_to_scap(how.resolve));
	auxmap__submit_event(call, &auxmap, openat2_e);
}

SYSCALL_EXIT(openat2_x)
{
	struct auxmap auxmap;
	struct open_how how = openat2__how(call);
	struct sc_opened opened = extract__opened(call->ret);

	if (!auxmap__begin(call, &auxmap, openat2_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, openat2_x, fd, call->ret);
	/* Parameter 2: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, openat2_x, dirfd, extract__int_argument(call, 0));
	/* Parameter 3: name (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, openat2_x, name, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 4: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, openat2_x, flags, open_flags_to_scap(how.flags) | opened_flags_to_scap(&opened));
	/* Parameter 5: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, openat2_x, mode, open_mode_to_scap(how.flags, how.mode));
	/* Parameter 6: resolve (type: PT_FLAGS32) */
	auxmap__store(&auxmap, openat2_x, resolve, resolve_flags_to_scap(how.resolve));
	/* Parameter 7: dev (type: PT_UINT32) */
	auxmap__store(&auxmap, openat2_x, dev, opened.dev);
	/* Parameter 8: ino (type: PT_UINT64) */
	auxmap__store(&auxmap, openat2_x, ino, opened.ino);
	opened__submit(call, &auxmap, openat2_x, name, how.flags, opened);
}

SYSCALL_ENTER(creat_e)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, creat_e))
		return;
	/* Parameter 1: name (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, creat_e, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 2: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, creat_e, mode, open_mode_to_scap(O_CREAT, extract__syscall_argument(call, 1)));
	auxmap__submit_event(call, &auxmap, creat_e);
}

SYSCALL_EXIT(creat_x)
{
	struct auxmap auxmap;
	u32 end;
	struct sc_opened opened = extract__opened(call->ret);

	if (!auxmap__begin(call, &auxmap, creat_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, creat_x, fd, call->ret);
	/* Parameter 2: name (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, creat_x, name, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	/* Parameter 3: mode (type: PT_UINT32) */
	auxmap__store(&auxmap, creat_x, mode, open_mode_to_scap(O_CREAT, extract__syscall_argument(call, 1)));
	/* Parameter 4: dev (type: PT_UINT32) */
	auxmap__store(&auxmap, creat_x, dev, opened.dev);
	/* Parameter 5: ino (type: PT_UINT64) */
	auxmap__store(&auxmap, creat_x, ino, opened.ino);
	/* Parameter 6: creat_flags (type: PT_FLAGS16) */
	auxmap__store(&auxmap, creat_x, creat_flags, creat_flags_to_scap(&opened));
	if (!opened.file) {
		auxmap__submit_event(call, &auxmap, creat_x);
		return;
	}
	end = auxmap.pos;
	if (!auxmap__extend(call, &auxmap, creat_x))
		return;
	/* Parameter 1: resolved (type: PT_FSPATH), parameter 2: resolved_flags (type: PT_FLAGS8) */
	opened__store_path(call, &auxmap, creat_x, name, opened, false, end);
	auxmap__submit_extended(call, &auxmap, creat_x);
}
