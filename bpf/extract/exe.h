/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The executable of a process: its times and its flags. */
#pragma once

#include "events_dimensions.h"
#include "extract/files.h"
#include "extract/process.h"

enum {
	SC_SB_RDONLY = 1,
	SC_S_IMMUTABLE = 8,
	SC_MAY_WRITE = 2, /* the write bit in a mode's last three bits */
	SC_CAP_DAC_OVERRIDE = 1,
	SC_CAP_FOWNER = 3,
	SC_GROUPS_MAX = 64,  /* supplementary groups to check */
	SC_EXTENTS_MAX = 16, /* ranges of a user namespace's map to check */
	SC_EXTENTS_INLINE = 5,
};

/* ----------------------------------------------------------------- times */

static __always_inline u64 exe__ns(s64 seconds, u64 ns)
{
	return seconds < 0 ? 0 : seconds * 1000000000ull + ns;
}

/* Returns the ctime of an inode, in ns since the epoch. */
static __always_inline u64 extract__ctime(struct inode *inode)
{
	struct inode___6_7 *named = (void *)inode;
	struct inode___6_11 *split = (void *)inode;

	if (bpf_core_field_exists(inode->i_ctime))
		return exe__ns(BPF_CORE_READ(inode, i_ctime.tv_sec), BPF_CORE_READ(inode, i_ctime.tv_nsec));
	if (bpf_core_field_exists(named->__i_ctime))
		return exe__ns(BPF_CORE_READ(named, __i_ctime.tv_sec), BPF_CORE_READ(named, __i_ctime.tv_nsec));
	/* From 6.13 on, the top bit of the nanoseconds says that someone queried the time. */
	return exe__ns(BPF_CORE_READ(split, i_ctime_sec), BPF_CORE_READ(split, i_ctime_nsec) & ~(1u << 31));
}

/* Returns the mtime of an inode, in ns since the epoch. */
static __always_inline u64 extract__mtime(struct inode *inode)
{
	struct inode___6_7 *named = (void *)inode;
	struct inode___6_11 *split = (void *)inode;

	if (bpf_core_field_exists(inode->i_mtime))
		return exe__ns(BPF_CORE_READ(inode, i_mtime.tv_sec), BPF_CORE_READ(inode, i_mtime.tv_nsec));
	if (bpf_core_field_exists(named->__i_mtime))
		return exe__ns(BPF_CORE_READ(named, __i_mtime.tv_sec), BPF_CORE_READ(named, __i_mtime.tv_nsec));
	return exe__ns(BPF_CORE_READ(split, i_mtime_sec), BPF_CORE_READ(split, i_mtime_nsec));
}

/* ----------------------------------------------------------------- flags */

/*
 * Returns whether a user namespace's map, given by its address, has an id of the initial one. Global functions, here and below, so
 * that the verifier checks each loop once.
 */
__noinline u32 exe__is_mapped(u64 address, u32 id)
{
	struct uid_gid_map *map = (struct uid_gid_map *)address;
	u32 extents = BPF_CORE_READ(map, nr_extents);
	struct uid_gid_extent *extent = (void *)map + bpf_core_field_offset(map->extent);

	if (extents > SC_EXTENTS_INLINE)
		extent = BPF_CORE_READ(map, reverse);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_EXTENTS_MAX; i++, extent = (void *)extent + bpf_core_type_size(struct uid_gid_extent)) {
		if (i >= extents)
			break;
		if (id - BPF_CORE_READ(extent, lower_first) < BPF_CORE_READ(extent, count))
			return true;
	}
	return false;
}

/* Returns whether the groups of credentials, given by their address, have this one. */
__noinline u32 exe__in_group(u64 credentials, u32 gid)
{
	const struct cred *cred = (const struct cred *)credentials;
	struct group_info *groups = BPF_CORE_READ(cred, group_info);
	u32 count = BPF_CORE_READ(groups, ngroups);
	void *next = (void *)groups + bpf_core_field_offset(struct group_info, gid);

	if (BPF_CORE_READ(cred, fsgid.val) == gid)
		return true;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_GROUPS_MAX; i++, next += sizeof(u32)) {
		u32 group = 0;

		if (i >= count || bpf_probe_read_kernel(&group, sizeof(group), next))
			break;
		if (group == gid)
			return true;
	}
	return false;
}

/* Returns whether a task may write to a file, by mode, owner and capabilities. Does not read ACLs. */
static __always_inline bool exe__is_writable(struct task_struct *task, struct inode *inode)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);
	struct user_namespace *ns = BPF_CORE_READ(cred, user_ns);
	u32 uid = BPF_CORE_READ(inode, i_uid.val), gid = BPF_CORE_READ(inode, i_gid.val);
	u32 mode = BPF_CORE_READ(inode, i_mode);
	u64 capabilities = extract__capabilities(task, cap_effective);
	bool overrides = capabilities >> SC_CAP_DAC_OVERRIDE & 1, owner = capabilities >> SC_CAP_FOWNER & 1;

	if (!inode || BPF_CORE_READ(inode, i_sb, s_flags) & SC_SB_RDONLY)
		return false;
	if (BPF_CORE_READ(inode, i_flags) & SC_S_IMMUTABLE || uid == -1u || gid == -1u)
		return false;
	if (BPF_CORE_READ(cred, fsuid.val) == uid)
		return true;
	if ((exe__in_group((u64)cred, gid) ? mode >> 3 : mode) & SC_MAY_WRITE)
		return true;
	if (!(overrides || owner) || !exe__is_mapped((u64)ns + bpf_core_field_offset(ns->uid_map), uid))
		return false;
	return owner || exe__is_mapped((u64)ns + bpf_core_field_offset(ns->gid_map), gid);
}

/* Returns whether memfd_create made a file: it is in no directory and its name starts with "memfd:". */
static __always_inline bool exe__is_memfd(struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	char name[8] = {};

	if (!dentry || BPF_CORE_READ(dentry, d_parent) != dentry)
		return false;
	bpf_probe_read_kernel_str(name, sizeof("memfd:"), BPF_CORE_READ(dentry, d_name.name));
	return *(u64 *)name == 0x3a64666d656dull; /* "memfd:" */
}

/* Returns the execve_flags of a task's executable. */
static __always_inline u32 extract__exe_flags(struct task_struct *task, struct file *exe)
{
	struct inode *inode = BPF_CORE_READ(exe, f_inode);
	enum sc_overlay layer = extract__overlay(inode);
	u32 flags = 0;

	if (layer == SC_OVERLAY_UPPER)
		flags |= PPM_execve_flags__EXE_UPPER_LAYER;
	if (layer == SC_OVERLAY_LOWER)
		flags |= PPM_execve_flags__EXE_LOWER_LAYER;
	if (exe__is_writable(task, inode))
		flags |= PPM_execve_flags__EXE_WRITABLE;
	if (exe__is_memfd(exe))
		flags |= PPM_execve_flags__EXE_FROM_MEMFD;
	return flags;
}
