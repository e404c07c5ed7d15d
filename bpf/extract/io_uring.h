/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Requests of io_uring: what the kernel and the ring's entries say about them. */
#pragma once

#include "extract/file_flags.h"
#include "extract/registers.h"
#include "kernel_io_uring.h"
#include "user_types.h"

/* The uses of io_uring.def. */
enum sc_io_uring_use {
	SC_IO_URING_NONE = 0,
	SC_IO_URING_FILE = 1 << 0,
	SC_IO_URING_DIR = 1 << 1,
	SC_IO_URING_OFF = 1 << 2,
	SC_IO_URING_ADDR = 1 << 3,
	SC_IO_URING_LEN = 1 << 4,
	SC_IO_URING_LEN_ADDR = 1 << 5,
	SC_IO_URING_LEN_OFF = 1 << 6,
	SC_IO_URING_FLAGS = 1 << 7,
	SC_IO_URING_FLAGS_LEN = 1 << 8,
	SC_IO_URING_MODE = 1 << 9,
	SC_IO_URING_MASK = 1 << 10,
	SC_IO_URING_FD2_LEN = 1 << 11,
	SC_IO_URING_FD2_OFF = 1 << 12,
	SC_IO_URING_FD2_IN = 1 << 13,
	SC_IO_URING_PATH = 1 << 14,
	SC_IO_URING_PATH_ADDR2 = 1 << 15,
	SC_IO_URING_PATH_ADDR3 = 1 << 16,
	SC_IO_URING_PATH2 = 1 << 17,
	SC_IO_URING_TEXT = 1 << 18,
	SC_IO_URING_HOW = 1 << 19,
	SC_IO_URING_SOCKADDR = 1 << 20,
	SC_IO_URING_SENDADDR = 1 << 21,
	SC_IO_URING_MESSAGE = 1 << 22,
	SC_IO_URING_SOCKET = 1 << 23,
	SC_IO_URING_SLOT = 1 << 24,
	SC_IO_URING_BUF = 1 << 25,
	SC_IO_URING_MAKES_FD = 1 << 26,
	SC_IO_URING_ENUM = 0,
};

enum {
	SC_IO_URING_OPS = 128, /* a power of two above the number of operations */

	SC_IO_URING_SETUP_SQE128 = 1 << 10,
	SC_IO_URING_FIXED_FILE = 1, /* in the flags of an entry and of a request */
	SC_PF_IO_WORKER = 0x10,     /* from 5.12 on, with 5.15's io_uring in Debian's 5.10 too */
};

enum sc_io_uring_op {
#define IO_URING_OP(name, number, uses, flags, arguments) SC_IORING_OP_##name = number,
#include "io_uring.def"
#undef IO_URING_OP
};

static const u32 io_uring__uses_of[SC_IO_URING_OPS] = {
#define U(use) | SC_IO_URING_##use
#define IO_URING_OP(name, number, uses, flags, arguments) [number] = 0 uses,
#include "io_uring.def"
#undef IO_URING_OP
#undef U
};

/* Returns the uses of an operation; none of one that is not in the table. */
static __always_inline u32 io_uring__uses(u8 opcode)
{
	return opcode < SC_IO_URING_OPS ? io_uring__uses_of[SC_BOUND(opcode, SC_IO_URING_OPS)] : 0;
}

/* ----------------------------------------------------------------- requests */

static __always_inline u64 io_uring__user_data(struct io_kiocb *req)
{
	if (bpf_core_field_exists(req->cqe))
		return BPF_CORE_READ(req, cqe.user_data);
	return BPF_CORE_READ((struct io_kiocb___5_18 *)req, user_data);
}

/* Returns the thread that submitted a request. */
static __always_inline struct task_struct *io_uring__submitter(struct io_kiocb *req)
{
	if (bpf_core_field_exists(req->tctx))
		return BPF_CORE_READ(req, tctx, task);
	return BPF_CORE_READ((struct io_kiocb___6_12 *)req, task);
}

/* The thread that a request belongs to. */
struct io_uring_owner {
	u32 tid;
	u32 tgid;
};

/*
 * Finds the owner of a request: its submitter. req is NULL if the kernel does not say it; the owner is then the current
 * thread. If that is the kernel's polling thread or a worker, which are threads of the owner's process, the owner is the
 * process's first thread.
 */
static __always_inline void io_uring__find_owner(struct io_ring_ctx *ring, struct io_kiocb *req,
						 struct io_uring_owner *owner)
{
	struct task_struct *task = req ? io_uring__submitter(req) : NULL;

	if (!task && bpf_core_field_exists(ring->submitter_task))
		task = BPF_CORE_READ(ring, submitter_task);
	if (!task)
		task = extract__current();
	owner->tgid = BPF_CORE_READ(task, tgid);
	owner->tid = BPF_CORE_READ(task, flags) & SC_PF_IO_WORKER ? owner->tgid : (u32)BPF_CORE_READ(task, pid);
}

/* Returns what the current thread, which does a request's work, is to it: a value of io_uring_threads. */
static __always_inline u8 io_uring__thread_kind(struct io_ring_ctx *ring, u32 owner_tid)
{
	struct task_struct *current = extract__current();

	if ((u32)BPF_CORE_READ(current, pid) == owner_tid)
		return PPM_io_uring_threads__OWNER;
	if (BPF_CORE_READ(ring, sq_data, thread) == current)
		return PPM_io_uring_threads__SQPOLL;
	return BPF_CORE_READ(current, flags) & SC_PF_IO_WORKER ? PPM_io_uring_threads__WORKER :
								 PPM_io_uring_threads__OTHER;
}

/* ------------------------------------------------------------------ entries */

/* Returns the address of the entry that the kernel took from the ring last. */
static __always_inline const void *io_uring__entry(struct io_ring_ctx *ring)
{
	u32 index = (BPF_CORE_READ(ring, cached_sq_head) - 1) & (BPF_CORE_READ(ring, sq_entries) - 1);
	u32 *array = BPF_CORE_READ(ring, sq_array);
	u64 size = sizeof(struct sc_io_uring_sqe);

	if (array)
		bpf_probe_read_kernel(&index, sizeof(index), &array[index]);
	if (BPF_CORE_READ(ring, flags) & SC_IO_URING_SETUP_SQE128)
		size *= 2;
	return (const void *)BPF_CORE_READ(ring, sq_sqes) + index * size;
}

/*
 * Reads the entry of a request, whose operation and user_data the kernel has read from it. The program can change it
 * meanwhile: returns false if the two differ.
 */
static __always_inline bool io_uring__read_entry(const void *entry, u8 opcode, u64 user_data,
						 struct sc_io_uring_sqe *sqe)
{
	return !bpf_probe_read_kernel(sqe, sizeof(*sqe), entry) && sqe->opcode == opcode && sqe->user_data == user_data;
}

/* ------------------------------------------------------------ kernel's copies */

/* Returns whether the operation's data have the paths, as the kernel has copied them from the program's memory. */
static __always_inline bool io_uring__has_paths(void)
{
	return bpf_core_type_exists(struct io_cmd_data);
}

/* The path in a member of an operation's data, which are at the start of the request. */
#define IO_URING_PATH(req, type, member)                                                                  \
	io_uring__copied_path((const void *)(req) + (bpf_core_field_exists(struct type, member) ?         \
							     bpf_core_field_offset(struct type, member) : \
							     bpf_core_field_offset(struct type##___7_0, member)))

static __always_inline const char *io_uring__copied_path(const void *at)
{
	struct filename *filename = NULL;

	bpf_probe_read_kernel(&filename, sizeof(filename), at);
	return filename ? BPF_CORE_READ(filename, name) : NULL;
}

/* Returns the kernel's copy of the path at sqe->addr or sqe->addr3; NULL if it has none. */
static __always_inline const char *io_uring__first_path(struct io_kiocb *req, u8 opcode)
{
	switch (opcode) {
	case SC_IORING_OP_OPENAT:
	case SC_IORING_OP_OPENAT2:
		return IO_URING_PATH(req, io_open, filename);
	case SC_IORING_OP_STATX:
		return IO_URING_PATH(req, io_statx, filename);
	case SC_IORING_OP_UNLINKAT:
		return IO_URING_PATH(req, io_unlink, filename);
	case SC_IORING_OP_MKDIRAT:
		return IO_URING_PATH(req, io_mkdir, filename);
	case SC_IORING_OP_RENAMEAT:
		return IO_URING_PATH(req, io_rename, oldpath);
	case SC_IORING_OP_LINKAT:
	case SC_IORING_OP_SYMLINKAT:
		return IO_URING_PATH(req, io_link, oldpath);
	case SC_IORING_OP_SETXATTR:
	case SC_IORING_OP_GETXATTR:
		return IO_URING_PATH(req, io_xattr, filename);
	default:
		return NULL;
	}
}

/* Returns the kernel's copy of the path at sqe->addr2; NULL if it has none. */
static __always_inline const char *io_uring__second_path(struct io_kiocb *req, u8 opcode)
{
	switch (opcode) {
	case SC_IORING_OP_RENAMEAT:
		return IO_URING_PATH(req, io_rename, newpath);
	case SC_IORING_OP_LINKAT:
	case SC_IORING_OP_SYMLINKAT:
		return IO_URING_PATH(req, io_link, newpath);
	default:
		return NULL;
	}
}

/* ------------------------------------------------------------------- results */

/*
 * Returns the slot + 1 that a descriptor-making operation was asked to fill, or that a close empties; 0 if the request is
 * about a descriptor.
 */
static __always_inline u32 io_uring__slot_of(struct io_kiocb *req, u8 opcode)
{
	switch (opcode) {
	case SC_IORING_OP_OPENAT:
	case SC_IORING_OP_OPENAT2:
		return BPF_CORE_READ((struct io_open *)req, file_slot);
	case SC_IORING_OP_ACCEPT:
		return BPF_CORE_READ((struct io_accept *)req, file_slot);
	case SC_IORING_OP_CLOSE:
		return BPF_CORE_READ((struct io_close *)req, file_slot);
	case SC_IORING_OP_SOCKET:
		return bpf_core_type_exists(struct io_socket) ? BPF_CORE_READ((struct io_socket *)req, file_slot) : 0;
	case SC_IORING_OP_PIPE:
		return bpf_core_type_exists(struct io_pipe) ? BPF_CORE_READ((struct io_pipe *)req, file_slot) : 0;
	default:
		return 0;
	}
}
