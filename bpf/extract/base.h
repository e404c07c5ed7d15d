/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The extension of calls that rename, link or remove files: the directory that a path starts from, where the kernel has it
 * when the call returns. (What the path itself led to is in no structure then: the walk's state is gone.)
 */
#pragma once

#include "extract/files.h"
#include "extract/paths.h"
#include "template/extension.h"
#include "template/shapes.h"

#include <linux/fcntl.h>

/* Where a path starts. */
struct base {
	struct dentry *dentry; /* NULL: the path is not known, or its descriptor is not open */
	struct vfsmount *mount;
	bool root; /* the path is absolute */
};

/* Returns where the path starts that is the parameter at `index` of the event. `dirfd` is the call's, or AT_FDCWD. */
static __always_inline struct base base__of(struct auxmap *auxmap, u32 nparams, u32 index, s32 dirfd)
{
	struct fs_struct *fs = BPF_CORE_READ(extract__current(), fs);
	struct base base = {};
	struct file *file;

	if (!*(u16 *)(auxmap->data + SC_LENGTH_OFFSET(index)))
		return base;
	if (*auxmap__at(auxmap, extension__offset_of(auxmap, nparams, index)) == '/') {
		base.root = true;
		base.dentry = BPF_CORE_READ(fs, root.dentry);
		base.mount = BPF_CORE_READ(fs, root.mnt);
	} else if (dirfd == AT_FDCWD) {
		base.dentry = BPF_CORE_READ(fs, pwd.dentry);
		base.mount = BPF_CORE_READ(fs, pwd.mnt);
	} else {
		file = extract__file(dirfd);
		base.dentry = BPF_CORE_READ(file, f_path.dentry);
		base.mount = BPF_CORE_READ(file, f_path.mnt);
	}
	return base;
}

/* Writes the path of a base at the tail. Returns its length: 0 if there is none, or if it is "/" and the path says so itself. */
static __always_inline u16 base__write(struct auxmap *auxmap, const struct base *base)
{
	u16 length = path__write(auxmap, base->dentry, base->mount);

	return base->root && length == sizeof("/") && !path__remarks(auxmap, base->dentry) ? 0 : length;
}

/* Stores the path of a base and the remarks on it, and adds the length of the path to `total`. */
#define base__store(auxmap, program, param, base, total)                                             \
	do {                                                                                         \
		u16 length_ = base__write(auxmap, &(base));                                          \
                                                                                                     \
		(total) += length_;                                                                  \
		auxmap__push(auxmap, SC_INDEX(program, param), length_);                             \
		auxmap__settle(auxmap);                                                              \
		auxmap__store(auxmap, program, param##_flags, path__remarks(auxmap, (base).dentry)); \
	} while (0)

/* Submits an event, after a success with the base of its parameter `name` if that says more than the path. */
#define base__submit(call, auxmap, program, name, dirfd)                                             \
	do {                                                                                         \
		u32 end_ = (auxmap)->pos, total_ = 0;                                                \
		struct base base_;                                                                   \
                                                                                                     \
		if ((call)->ret) {                                                                   \
			auxmap__submit_event(call, auxmap, program);                                 \
			return;                                                                      \
		}                                                                                    \
		base_ = base__of(auxmap, program##__recorded(), SC_INDEX(program, name), dirfd);     \
		if (!auxmap__extend(call, auxmap, program))                                          \
			return;                                                                      \
		/* Parameter 1: base (type: PT_FSPATH), parameter 2: base_flags (type: PT_FLAGS8) */ \
		base__store(auxmap, program##__extension, base, base_, total_);                      \
		if (!total_)                                                                         \
			auxmap__take_back(auxmap, end_);                                             \
		auxmap__submit_extended(call, auxmap, program);                                      \
	} while (0)

/* The same for two paths. */
#define base__submit_two(call, auxmap, program, old, olddirfd, new, newdirfd)                              \
	do {                                                                                               \
		u32 end_ = (auxmap)->pos, total_ = 0;                                                      \
		struct base old_, new_;                                                                    \
                                                                                                           \
		if ((call)->ret) {                                                                         \
			auxmap__submit_event(call, auxmap, program);                                       \
			return;                                                                            \
		}                                                                                          \
		old_ = base__of(auxmap, program##__recorded(), SC_INDEX(program, old), olddirfd);          \
		new_ = base__of(auxmap, program##__recorded(), SC_INDEX(program, new), newdirfd);          \
		if (!auxmap__extend(call, auxmap, program))                                                \
			return;                                                                            \
		/* Parameter 1: oldbase (type: PT_FSPATH), parameter 2: oldbase_flags (type: PT_FLAGS8) */ \
		base__store(auxmap, program##__extension, oldbase, old_, total_);                          \
		/* Parameter 3: newbase (type: PT_FSPATH), parameter 4: newbase_flags (type: PT_FLAGS8) */ \
		base__store(auxmap, program##__extension, newbase, new_, total_);                          \
		if (!total_)                                                                               \
			auxmap__take_back(auxmap, end_);                                                   \
		auxmap__submit_extended(call, auxmap, program);                                            \
	} while (0)

/* An exit event with the result, the path that is the call's first argument, and the path's base. */
#define SYSCALL_EXIT_BASED_PATH(program)                                                           \
	SYSCALL_EXIT(program)                                                                      \
	{                                                                                          \
		struct auxmap auxmap;                                                              \
		const u64 path_pointer = extract__syscall_argument(call, 0);                       \
                                                                                                   \
		if (!auxmap__begin(call, &auxmap, program))                                        \
			return;                                                                    \
		/* Parameter 1: res (type: PT_ERRNO) */                                            \
		auxmap__store(&auxmap, program, res, call->ret);                                   \
		/* Parameter 2: path (type: PT_FSPATH) */                                          \
		auxmap__store_charbuf(&auxmap, program, path, path_pointer, SC_MAX_PATH, SC_USER); \
		base__submit(call, &auxmap, program, path, AT_FDCWD);                              \
	}

/* The same for the first two arguments, oldpath and newpath. */
#define base__submit_paths(call, auxmap, program) \
	base__submit_two(call, auxmap, program, oldpath, AT_FDCWD, newpath, AT_FDCWD)
#define SYSCALL_EXIT_TWO_BASED_PATHS(program) SYSCALL_EXIT_TWO_PATHS(program, oldpath, newpath, base__submit_paths)
