/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Flags and commands of mounts and quotas in the .scap format's encoding (flags.def). */
#pragma once

#include "extract/flags.h"

#include <linux/dqblk_xfs.h>
#include <linux/mount.h>
#include <linux/quota.h>

/* The kernel's numbers are the format's. Drops the magic number that old programs set in the upper half. */
static __always_inline u32 mount_flags_to_scap(u32 flags)
{
	return (flags & MS_MGC_MSK) == MS_MGC_VAL ? flags & ~MS_MGC_MSK : flags;
}

/* The kernel's numbers are the format's; bits that the format does not name are dropped. */
static __always_inline u32 umount_flags_to_scap(u32 flags)
{
	return flags & (PPM_umount_flags__FORCE | PPM_umount_flags__DETACH | PPM_umount_flags__EXPIRE |
			PPM_umount_flags__NOFOLLOW);
}

#define SC_QUOTACTL_COMMAND(name) \
	case name:                \
		return PPM_quotactl_cmds__##name

/* Returns 0 for a command that the format does not name. */
static __always_inline u16 quotactl_command_to_scap(u32 command)
{
	switch (command >> SUBCMDSHIFT) {
		SC_QUOTACTL_COMMAND(Q_SYNC);
		SC_QUOTACTL_COMMAND(Q_QUOTAON);
		SC_QUOTACTL_COMMAND(Q_QUOTAOFF);
		SC_QUOTACTL_COMMAND(Q_GETFMT);
		SC_QUOTACTL_COMMAND(Q_GETINFO);
		SC_QUOTACTL_COMMAND(Q_SETINFO);
		SC_QUOTACTL_COMMAND(Q_GETQUOTA);
		SC_QUOTACTL_COMMAND(Q_SETQUOTA);
		SC_QUOTACTL_COMMAND(Q_XQUOTAON);
		SC_QUOTACTL_COMMAND(Q_XQUOTAOFF);
		SC_QUOTACTL_COMMAND(Q_XGETQUOTA);
		SC_QUOTACTL_COMMAND(Q_XSETQLIM);
		SC_QUOTACTL_COMMAND(Q_XGETQSTAT);
		SC_QUOTACTL_COMMAND(Q_XQUOTARM);
		SC_QUOTACTL_COMMAND(Q_XQUOTASYNC);
	default:
		return 0;
	}
}

/* Returns whose quota a command concerns; 0 for projects, which the format does not name. */
static __always_inline u8 quotactl_type_to_scap(u32 command)
{
	switch (command & SUBCMDMASK) {
	case USRQUOTA:
		return PPM_quotactl_types__USRQUOTA;
	case GRPQUOTA:
		return PPM_quotactl_types__GRPQUOTA;
	default:
		return 0;
	}
}

static __always_inline u8 quota_format_to_scap(u32 format)
{
	switch (format) {
	case QFMT_VFS_OLD:
		return PPM_quotactl_quota_fmts__QFMT_VFS_OLD;
	case QFMT_VFS_V0:
		return PPM_quotactl_quota_fmts__QFMT_VFS_V0;
	case QFMT_VFS_V1:
		return PPM_quotactl_quota_fmts__QFMT_VFS_V1;
	default:
		return PPM_quotactl_quota_fmts__QFMT_NOT_USED;
	}
}

/* The kernel's DQF_ROOT_SQUASH, missing in its user-space headers. */
#define SC_DQF_ROOT_SQUASH 1

static __always_inline u8 quota_info_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, SC_DQF_ROOT_SQUASH, quotactl_dqi_flags, V1_DQF_RSQUASH);
}
