/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* quotactl: disk quotas of users and groups. Times are in seconds, as in the kernel. */
#include "extract/mount_flags.h"
#include "template/shapes.h"

/* The parameters common to both events. */
struct quotactl_arguments {
	u32 id;
	u16 command;
	u8 type;
	u8 format;
};

/* Returns the arguments. The third is an id or a format, depending on the command; the other is 0 or 'not used'. */
static __always_inline struct quotactl_arguments quotactl__arguments(const struct sc_call *call)
{
	u32 command = extract__syscall_argument(call, 0), id = extract__syscall_argument(call, 2);
	struct quotactl_arguments arguments = {
		.command = quotactl_command_to_scap(command),
		.type = quotactl_type_to_scap(command),
		.format = PPM_quotactl_quota_fmts__QFMT_NOT_USED,
	};

	if (arguments.command == PPM_quotactl_cmds__Q_QUOTAON)
		arguments.format = quota_format_to_scap(id);
	else if (arguments.command & (PPM_quotactl_cmds__Q_GETQUOTA | PPM_quotactl_cmds__Q_SETQUOTA |
				      PPM_quotactl_cmds__Q_XGETQUOTA | PPM_quotactl_cmds__Q_XSETQLIM))
		arguments.id = id;
	return arguments;
}

/*
 * Returns whether the memory at the fourth argument is the command's: the input of `set`, or the output of a successful
 * `get`.
 */
static __always_inline bool quotactl__holds(const struct sc_call *call, u16 command, u16 get, u16 set)
{
	return command == set || (command == get && !call->ret);
}

/* Returns limits and usage; invalid fields are 0. Up to dqb_valid, the structure is the same for 32-bit callers. */
static __always_inline struct if_dqblk quotactl__quota(const struct sc_call *call, u16 command)
{
	const u32 size = __builtin_offsetof(struct if_dqblk, dqb_valid) + sizeof(u32);
	struct if_dqblk quota = {};

	if (!quotactl__holds(call, command, PPM_quotactl_cmds__Q_GETQUOTA, PPM_quotactl_cmds__Q_SETQUOTA) ||
	    bpf_probe_read_user(&quota, size, (const void *)extract__syscall_argument(call, 3)))
		return quota;
	if (!(quota.dqb_valid & QIF_BLIMITS))
		quota.dqb_bhardlimit = quota.dqb_bsoftlimit = 0;
	if (!(quota.dqb_valid & QIF_SPACE))
		quota.dqb_curspace = 0;
	if (!(quota.dqb_valid & QIF_ILIMITS))
		quota.dqb_ihardlimit = quota.dqb_isoftlimit = 0;
	if (!(quota.dqb_valid & QIF_BTIME))
		quota.dqb_btime = 0;
	if (!(quota.dqb_valid & QIF_ITIME))
		quota.dqb_itime = 0;
	return quota;
}

/* Returns grace periods and flags; invalid fields are 0. */
static __always_inline struct if_dqinfo quotactl__info(const struct sc_call *call, u16 command)
{
	struct if_dqinfo info = {};

	if (!quotactl__holds(call, command, PPM_quotactl_cmds__Q_GETINFO, PPM_quotactl_cmds__Q_SETINFO) ||
	    bpf_probe_read_user(&info, sizeof(info), (const void *)extract__syscall_argument(call, 3)))
		return info;
	if (!(info.dqi_valid & IIF_BGRACE))
		info.dqi_bgrace = 0;
	if (!(info.dqi_valid & IIF_IGRACE))
		info.dqi_igrace = 0;
	if (!(info.dqi_valid & IIF_FLAGS))
		info.dqi_flags = 0;
	return info;
}

/* Returns the format that Q_GETFMT reported. */
static __always_inline u8 quotactl__format(const struct sc_call *call, u16 command)
{
	u32 format = 0;

	if (command != PPM_quotactl_cmds__Q_GETFMT || call->ret ||
	    bpf_probe_read_user(&format, sizeof(format), (const void *)extract__syscall_argument(call, 3)))
		return PPM_quotactl_quota_fmts__QFMT_NOT_USED;
	return quota_format_to_scap(format);
}

SYSCALL_ENTER(quotactl_e)
{
	struct ringbuf_struct ringbuf;
	struct quotactl_arguments arguments = quotactl__arguments(call);

	if (!ringbuf__reserve_space(call, &ringbuf, quotactl_e))
		return;
	/* Parameter 1: cmd (type: PT_FLAGS16) */
	ringbuf__store(&ringbuf, quotactl_e, cmd, arguments.command);
	/* Parameter 2: type (type: PT_FLAGS8) */
	ringbuf__store(&ringbuf, quotactl_e, type, arguments.type);
	/* Parameter 3: id (type: PT_UINT32) */
	ringbuf__store(&ringbuf, quotactl_e, id, arguments.id);
	/* Parameter 4: quota_fmt (type: PT_FLAGS8) */
	ringbuf__store(&ringbuf, quotactl_e, quota_fmt, arguments.format);
	ringbuf__submit_event(call, &ringbuf, quotactl_e);
}

SYSCALL_EXIT(quotactl_x)
{
	struct auxmap auxmap;
	struct quotactl_arguments arguments = quotactl__arguments(call);
	struct if_dqblk quota = quotactl__quota(call, arguments.command);
	struct if_dqinfo info = quotactl__info(call, arguments.command);
	bool is_on = arguments.command == PPM_quotactl_cmds__Q_QUOTAON;
	u64 path_pointer = is_on ? extract__syscall_argument(call, 3) : 0;

	if (!auxmap__begin(call, &auxmap, quotactl_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, quotactl_x, res, call->ret);
	/* Parameter 2: special (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, quotactl_x, special, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 3: quotafilepath (type: PT_CHARBUF) */
	auxmap__store_charbuf(&auxmap, quotactl_x, quotafilepath, path_pointer, SC_MAX_PATH, SC_USER);
	/* Parameter 4: dqb_bhardlimit (type: PT_UINT64) */
	auxmap__store(&auxmap, quotactl_x, dqb_bhardlimit, quota.dqb_bhardlimit);
	/* Parameter 5: dqb_bsoftlimit (type: PT_UINT64) */
	auxmap__store(&auxmap, quotactl_x, dqb_bsoftlimit, quota.dqb_bsoftlimit);
	/* Parameter 6: dqb_curspace (type: PT_UINT64) */
	auxmap__store(&auxmap, quotactl_x, dqb_curspace, quota.dqb_curspace);
	/* Parameter 7: dqb_ihardlimit (type: PT_UINT64) */
	auxmap__store(&auxmap, quotactl_x, dqb_ihardlimit, quota.dqb_ihardlimit);
	/* Parameter 8: dqb_isoftlimit (type: PT_UINT64) */
	auxmap__store(&auxmap, quotactl_x, dqb_isoftlimit, quota.dqb_isoftlimit);
	/* Parameter 9: dqb_btime (type: PT_RELTIME) */
	auxmap__store(&auxmap, quotactl_x, dqb_btime, quota.dqb_btime);
	/* Parameter 10: dqb_itime (type: PT_RELTIME) */
	auxmap__store(&auxmap, quotactl_x, dqb_itime, quota.dqb_itime);
	/* Parameter 11: dqi_bgrace (type: PT_RELTIME) */
	auxmap__store(&auxmap, quotactl_x, dqi_bgrace, info.dqi_bgrace);
	/* Parameter 12: dqi_igrace (type: PT_RELTIME) */
	auxmap__store(&auxmap, quotactl_x, dqi_igrace, info.dqi_igrace);
	/* Parameter 13: dqi_flags (type: PT_FLAGS8) */
	auxmap__store(&auxmap, quotactl_x, dqi_flags, quota_info_flags_to_scap(info.dqi_flags));
	/* Parameter 14: quota_fmt_out (type: PT_FLAGS8) */
	auxmap__store(&auxmap, quotactl_x, quota_fmt_out, quotactl__format(call, arguments.command));
	/* Parameter 15: cmd (type: PT_FLAGS16) */
	auxmap__store(&auxmap, quotactl_x, cmd, arguments.command);
	/* Parameter 16: type (type: PT_FLAGS8) */
	auxmap__store(&auxmap, quotactl_x, type, arguments.type);
	/* Parameter 17: id (type: PT_UINT32) */
	auxmap__store(&auxmap, quotactl_x, id, arguments.id);
	/* Parameter 18: quota_fmt (type: PT_FLAGS8) */
	auxmap__store(&auxmap, quotactl_x, quota_fmt, arguments.format);
	auxmap__submit_event(call, &auxmap, quotactl_x);
}
