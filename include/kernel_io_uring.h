/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The kernel's structures of io_uring: as kernel_types.h, which has the rest. */
#pragma once

#include "kernel_types.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct io_sq_data {
	struct task_struct *thread;
};

struct io_uring_sqe;

struct io_ring_ctx {
	unsigned int flags;
	u32 *sq_array;
	struct io_uring_sqe *sq_sqes;
	unsigned int cached_sq_head;
	unsigned int sq_entries;
	struct io_sq_data *sq_data;
	struct task_struct *submitter_task; /* from 6.1 */
	unsigned int compat : 1;            /* a 32-bit program made the ring; to 7.x */
};

struct io_uring_task {
	struct task_struct *task; /* from 6.13 */
};

struct io_cqe {
	u64 user_data;
	s32 res;
	union {
		u32 flags;
		int fd; /* until the completion */
	};
};

/* The operation's own data, at the start of the request; from 6.0. */
struct io_cmd_data {
	struct file *file;
};

struct io_kiocb {
	struct file *file;
	u8 opcode;
	unsigned int flags; /* the low bits are those of the entry; 64 bits from 6.8 */
	struct io_cqe cqe;  /* from 5.19 */
	struct io_ring_ctx *ctx;
	struct io_uring_task *tctx; /* from 6.13 */
};

struct io_kiocb___6_12 {
	struct task_struct *task;
};

struct io_kiocb___5_18 {
	u64 user_data;
};

/* The operations' data. A path is a pointer to the kernel's copy, from 7.0 on in a structure of its own. */
struct filename {
	const char *name;
};

struct delayed_filename {
	struct filename *__incomplete_filename;
};

struct io_open {
	u32 file_slot;
	struct filename *filename;
};

struct io_open___7_0 {
	struct delayed_filename filename;
};

struct io_statx {
	struct filename *filename;
};

struct io_statx___7_0 {
	struct delayed_filename filename;
};

struct io_unlink {
	struct filename *filename;
};

struct io_unlink___7_0 {
	struct delayed_filename filename;
};

struct io_mkdir {
	struct filename *filename;
};

struct io_mkdir___7_0 {
	struct delayed_filename filename;
};

struct io_rename {
	struct filename *oldpath;
	struct filename *newpath;
};

struct io_rename___7_0 {
	struct delayed_filename oldpath;
	struct delayed_filename newpath;
};

struct io_link {
	struct filename *oldpath;
	struct filename *newpath;
};

struct io_link___7_0 {
	struct delayed_filename oldpath;
	struct delayed_filename newpath;
};

struct io_xattr {
	struct filename *filename;
};

struct io_xattr___7_0 {
	struct delayed_filename filename;
};

struct io_accept {
	u32 file_slot;
};

struct io_socket {
	u32 file_slot;
};

struct io_close {
	int fd;
	u32 file_slot;
};

struct io_pipe {
	int *fds;
	int file_slot;
};

#pragma clang attribute pop
