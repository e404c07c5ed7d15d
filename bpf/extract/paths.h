/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Paths as the kernel resolved them: a walk from a dentry up to the root of its mount, on to where that is mounted, and so
 * up to the root of the mount namespace. So neither symbolic links nor chroot hide anything. If a directory on the way is
 * renamed at that moment, the path may have both of its names.
 */
#pragma once

#include "extract/names.h"

/* What d_parent and d_name hold next to each other: one read instead of two. */
struct path_link {
	struct dentry *parent;
	u32 hash, len;
	const void *name;
};

#define SC_DENTRY_OFFSET(field) bpf_core_field_offset(struct dentry, field)

/* Returns the parent of a dentry, and its name. A kernel may lay out its structures at random. */
static __always_inline struct path_link path__read_link(struct dentry *dentry)
{
	struct path_link link = {};

	if (SC_DENTRY_OFFSET(d_name.name) == SC_DENTRY_OFFSET(d_parent) + __builtin_offsetof(struct path_link, name)) {
		bpf_probe_read_kernel(&link, sizeof(link), (void *)dentry + SC_DENTRY_OFFSET(d_parent));
		return link;
	}
	link.parent = BPF_CORE_READ(dentry, d_parent);
	link.name = BPF_CORE_READ(dentry, d_name.name);
	return link;
}

/* Returns whether a mount without a parent is not in the task's mount namespace: one of the kernel's own, or a detached one. */
static __always_inline bool path__is_apart(struct mount *mount)
{
	return BPF_CORE_READ(mount, mnt_ns) != BPF_CORE_READ(extract__current(), nsproxy, mnt_ns);
}

/* Returns whether a file is in no directory any more. */
static __always_inline bool path__is_deleted(struct dentry *dentry)
{
	return !BPF_CORE_READ(dentry, d_hash.pprev) && BPF_CORE_READ(dentry, d_parent) != dentry;
}

enum path_walk {
	PATH_GOES_ON,
	PATH_ENDS,
	PATH_HAS_NO_FOLDER, /* the file of a pipe, a memfd and the like has only a name */
};

/* Goes on to where the mount is mounted. */
static __always_inline enum path_walk path__cross(struct names *names)
{
	struct mount *mount = names->mount, *above = BPF_CORE_READ(mount, mnt_parent);

	if (above == mount) {
		names->complete = 1;
		if (path__is_apart(mount))
			names->remarks |= PPM_path_flags__PATH_UNREACHABLE;
		return PATH_ENDS;
	}
	names->at = BPF_CORE_READ(mount, mnt_mountpoint);
	names->mount = above;
	names->root = BPF_CORE_READ(above, mnt.mnt_root);
	return PATH_GOES_ON;
}

/*
 * Gathers the names of up to SC_NAMES_SOME steps of a walk up from a dentry; `is_first` of its first ones. Global functions, here
 * and below, so that the verifier checks them once, and not from every state that a program may be in.
 */
__noinline u32 path__climb(u32 way, u32 is_first)
{
	struct auxmap auxmap = {};
	struct path_link link;
	struct names *names;

	if (!auxmap__find(&auxmap, way))
		return PATH_ENDS;
	names = names__of(&auxmap);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_NAMES_SOME; i++) {
		if (names->at == names->root) {
			if (path__cross(names) == PATH_ENDS)
				return PATH_ENDS;
			continue;
		}
		link = path__read_link((struct dentry *)names->at);
		if (names->at == link.parent) {
			names->complete = 1;
			names->remarks |= PPM_path_flags__PATH_UNREACHABLE;
			return is_first && !i ? PATH_HAS_NO_FOLDER : PATH_ENDS;
		}
		if (!names__add(names, link.name)) {
			names->remarks |= PPM_path_flags__PATH_CUT;
			return PATH_ENDS;
		}
		names->at = link.parent;
	}
	return PATH_GOES_ON;
}

/* Gathers the names from a dentry up to the root of the mount namespace. Returns false if there is no directory. */
static __always_inline bool path__gather(struct auxmap *auxmap, struct dentry *dentry, struct vfsmount *vfsmount)
{
	struct names *names = names__of(auxmap);
	u32 walk;

	names__begin(names, dentry);
	names->mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
	names->root = BPF_CORE_READ(vfsmount, mnt_root);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_NAMES_STEPS; i += SC_NAMES_SOME) {
		walk = path__climb(auxmap->way, !i);
		if (walk != PATH_GOES_ON)
			return walk == PATH_ENDS;
	}
	names->remarks |= PPM_path_flags__PATH_CUT;
	return true;
}

/*
 * Writes the path of a dentry in a mount, both given by their addresses, at this offset of a way's scratch area. Returns its
 * length.
 */
__noinline u32 path__resolve(u64 dentry, u64 mount, u32 at, u32 way)
{
	struct auxmap auxmap = { .pos = at, .way = way };
	struct dentry *file = (struct dentry *)dentry;

	if (!auxmap__find(&auxmap, way))
		return 0;
	if (!path__gather(&auxmap, file, (struct vfsmount *)mount))
		return auxmap__read_string(&auxmap, BPF_CORE_READ(file, d_name.name), SC_NAME_LEN, SC_KERNEL);
	return names__write(&auxmap, at) - at;
}

/*
 * Writes the path of a dentry in a mount at the tail. Returns its length, 0 without a dentry. A file outside any directory
 * (such as memfd_create's) gets its bare name. The path of a deleted file does not say so: path__remarks does.
 */
static __always_inline u16 path__write(struct auxmap *auxmap, struct dentry *dentry, struct vfsmount *mount)
{
	if (!dentry)
		return 0;
	return path__resolve((u64)dentry, (u64)mount, auxmap->pos, auxmap->way);
}

/* Returns the remarks on the path that was written last, that of this dentry: path_flags of flags.def. */
static __always_inline u8 path__remarks(struct auxmap *auxmap, struct dentry *dentry)
{
	if (!dentry)
		return 0;
	return names__of(auxmap)->remarks | (path__is_deleted(dentry) ? PPM_path_flags__PATH_DELETED : 0);
}

/* The same for an open file. */
static __always_inline u16 auxmap__read_path(struct auxmap *auxmap, struct file *file)
{
	return path__write(auxmap, BPF_CORE_READ(file, f_path.dentry), BPF_CORE_READ(file, f_path.mnt));
}

/* Stores the path of a struct file. */
#define auxmap__store_path(auxmap, program, param, file)                                            \
	do {                                                                                        \
		SC_REQUIRE(SC_IS_CHARBUF(program, param), "not a string in its row of events.def"); \
		auxmap__push(auxmap, SC_INDEX(program, param), auxmap__read_path(auxmap, file));    \
	} while (0)

/* Stores the path of a dentry in a mount, and the remarks on it as the next parameter, <param>_flags. */
#define auxmap__store_resolved(auxmap, program, param, at, in)                                        \
	do {                                                                                          \
		struct dentry *dentry_ = (at);                                                        \
		struct vfsmount *mount_ = (in);                                                       \
                                                                                                      \
		SC_REQUIRE(SC_IS_CHARBUF(program, param), "not a string in its row");                 \
		auxmap__push(auxmap, SC_INDEX(program, param), path__write(auxmap, dentry_, mount_)); \
		auxmap__settle(auxmap);                                                               \
		auxmap__store(auxmap, program, param##_flags, path__remarks(auxmap, dentry_));        \
	} while (0)
