/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Open files: the struct file behind a descriptor, and its attributes that events record. */
#pragma once

#include "events_dimensions.h"
#include "extract/task.h"

#include <linux/magic.h>

/* The bit of f_mode that the kernel sets if the open created the file (from 4.19 on). */
#define SC_FMODE_CREATED (1u << 20)

/* The overlayfs layer that a file's content comes from. */
enum sc_overlay {
	SC_OVERLAY_NONE, /* not on overlayfs */
	SC_OVERLAY_UPPER,
	SC_OVERLAY_LOWER,
};

/* Returns the file that the current task has open as `fd`; NULL if none. */
static __always_inline struct file *extract__file(s64 fd)
{
	struct fdtable *table = BPF_CORE_READ(extract__current(), files, fdt);
	struct file **files;
	struct file *file = NULL;

	if (fd < 0 || fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	bpf_probe_read_kernel(&file, sizeof(file), &files[fd]);
	return file;
}

/* Returns the inode number of a descriptor of the current task; 0 if it is not open. */
static __always_inline u64 extract__ino(s64 fd)
{
	return BPF_CORE_READ(extract__file(fd), f_inode, i_ino);
}

/* Returns the device of an inode's file system, encoded as stat's st_dev. */
static __always_inline u32 extract__dev(struct inode *inode)
{
	u32 dev = BPF_CORE_READ(inode, i_sb, s_dev);
	u32 major = dev >> 20;
	u32 minor = dev & 0xfffff;

	return (minor & 0xff) | major << 8 | (minor & ~0xffu) << 12;
}

/*
 * Returns the layer of an inode's content. overlayfs keeps a pointer right after the VFS inode: to the upper layer's
 * dentry, or NULL while only the lower layer has the file.
 */
static __always_inline enum sc_overlay extract__overlay(struct inode *inode)
{
	struct dentry *upper = NULL;

	if (BPF_CORE_READ(inode, i_sb, s_magic) != OVERLAYFS_SUPER_MAGIC)
		return SC_OVERLAY_NONE;
	bpf_probe_read_kernel(&upper, sizeof(upper), (u8 *)inode + bpf_core_type_size(struct inode));
	return BPF_CORE_READ(upper, d_inode) ? SC_OVERLAY_UPPER : SC_OVERLAY_LOWER;
}

/* What the exit event of an opening call records of the file. */
struct sc_opened {
	struct file *file; /* NULL if the result is not a descriptor */
	u64 ino;
	u32 dev;
	u32 mode; /* f_mode */
	enum sc_overlay overlay;
};

/* Returns all zeros if the result is not a descriptor. */
static __always_inline struct sc_opened extract__opened(s64 ret)
{
	struct sc_opened opened = {};
	struct file *file = extract__file(ret);
	struct inode *inode;

	if (!file)
		return opened;
	opened.file = file;
	inode = BPF_CORE_READ(file, f_inode);
	opened.ino = BPF_CORE_READ(inode, i_ino);
	opened.dev = extract__dev(inode);
	opened.mode = BPF_CORE_READ(file, f_mode);
	opened.overlay = extract__overlay(inode);
	return opened;
}
