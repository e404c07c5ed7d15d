/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The path of an open file, as the initial mount namespace sees it. */
#pragma once

#include "extract/names.h"

/*
 * Writes the path of `file` at the tail. Returns its length, 0 without a file. A file outside any directory (such as
 * memfd_create's) gets its bare name. The path of a deleted file does not say so.
 */
static __always_inline u16 auxmap__read_path(struct auxmap *auxmap, struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry), *parent;
	struct vfsmount *vfsmount = BPF_CORE_READ(file, f_path.mnt);
	struct mount *mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt), *above;

	if (!dentry)
		return 0;
	names__begin(auxmap);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_NAMES_STEPS; i++) {
		parent = BPF_CORE_READ(dentry, d_parent);
		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			above = BPF_CORE_READ(mount, mnt_parent);
			if (above == mount) {
				names__reach_root(auxmap);
				break;
			}
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
		} else if (dentry == parent) {
			if (!i)
				return auxmap__read_string(auxmap, BPF_CORE_READ(dentry, d_name.name), SC_NAME_LEN,
							   SC_KERNEL);
			names__reach_root(auxmap);
			break;
		} else {
			if (!names__add(auxmap, BPF_CORE_READ(dentry, d_name.name)))
				break;
			dentry = parent;
		}
	}
	return names__write(auxmap, auxmap->pos) - auxmap->pos;
}

/* Stores the path of a struct file. */
#define auxmap__store_path(auxmap, program, param, file)                                            \
	do {                                                                                        \
		SC_REQUIRE(SC_IS_CHARBUF(program, param), "not a string in its row of events.def"); \
		auxmap__push(auxmap, SC_INDEX(program, param), auxmap__read_path(auxmap, file));    \
	} while (0)
