/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * io_uring_submit: the kernel takes a request from a ring; io_uring_complete: it posts a result. The events belong to
 * the thread that owns the request, whichever thread of the kernel does the work.
 */
#include "extract/io_uring.h"
#include "extract/messages.h"
#include "extract/paths.h"
#include "extract/sockets.h"
#include "filter.h"
#include "template/auxmap.h"

/* Starts the run of an event of this owner. Returns false if it is not recorded. */
static __always_inline bool io_uring__begin(struct sc_call *call, struct io_ring_ctx *ring,
					    const struct io_uring_owner *owner)
{
	if (!tracepoint__admits(SC_TP_IO_URING, filter__has_target(owner->tgid, owner->tid, false)))
		return false;
	if (!call__begin(call))
		return false;
	call->tid = owner->tid;
	/* From 7.x on, which has the bit elsewhere, whether the current call is a 32-bit one. */
	if (bpf_core_field_exists(ring->compat))
		call->compat = BPF_CORE_READ_BITFIELD_PROBED(ring, compat);
	return true;
}

/* Stores an integer if it is there, else no value. */
#define io_uring__store(auxmap, program, param, is_there, expression)                                 \
	do {                                                                                          \
		typedef typeof(SC_TYPE(program, param).value) value_type_;                            \
		value_type_ value_ = (expression);                                                    \
		*(value_type_ *)auxmap__tail(auxmap) = value_;                                        \
		auxmap__push(auxmap, SC_INDEX(program, param), (is_there) ? sizeof(value_type_) : 0); \
	} while (0)

/* Stores the thread that does the work, if it is not the owner, and its kind. */
#define io_uring__store_thread(call, auxmap, program, ring)                                    \
	do {                                                                                   \
		u8 kind_ = io_uring__thread_kind(ring, (call)->tid);                           \
                                                                                               \
		/* Parameter: thread (type: PT_PID) */                                         \
		io_uring__store(auxmap, program, thread, kind_ != PPM_io_uring_threads__OWNER, \
				(u32)bpf_get_current_pid_tgid());                              \
		/* Parameter: thread_kind (type: PT_ENUMFLAGS8) */                             \
		auxmap__store(auxmap, program, thread_kind, kind_);                            \
	} while (0)

/* Stores the path that the kernel copied, or the one in the program's memory; no value if both are NULL. */
#define io_uring__store_path(auxmap, program, param, copied, pointer)                                               \
	do {                                                                                                        \
		const void *copied_ = (copied);                                                                     \
                                                                                                                    \
		SC_REQUIRE(SC_IS_CHARBUF(program, param), "not a string in its row");                               \
		auxmap__push(auxmap, SC_INDEX(program, param),                                                      \
			     copied_ ? auxmap__read_string(auxmap, copied_, SC_MAX_PATH, SC_KERNEL) :               \
				       auxmap__read_string(auxmap, (const void *)(pointer), SC_MAX_PATH, SC_USER)); \
		auxmap__settle(auxmap);                                                                             \
	} while (0)

/* Writes the socket address of a request at the tail. Returns its length, 0 if it has none. */
static __always_inline u16 io_uring__write_address(struct sc_call *call, struct auxmap *auxmap, u32 uses,
						   const struct sc_io_uring_sqe *sqe)
{
	u64 pointer = 0;
	u32 len = 0;

	if (uses & SC_IO_URING_SOCKADDR) {
		pointer = sqe->addr;
		len = sqe->off;
	} else if (uses & SC_IO_URING_SENDADDR) {
		pointer = sqe->off;
		len = (u16)sqe->file_index;
	} else if (uses & SC_IO_URING_MESSAGE) {
		struct sc_msghdr header;

		message__read_header(call, sqe->addr, &header);
		pointer = header.name;
		len = header.namelen;
	}
	return address__write(address__read(auxmap, (const void *)pointer, len, SC_USER), auxmap__tail(auxmap));
}

/* The flags of open in the encoding of x86-64. */
static __always_inline u32 io_uring__open_flags(u32 flags)
{
#if defined(__TARGET_ARCH_arm64)
	const u32 swapped = 0x3c000;

	return (flags & ~swapped) | (flags & 0x4000) << 2 | (flags & 0x8000) << 2 | (flags & 0x10000) >> 2 |
	       (flags & 0x20000) >> 2;
#else
	return flags;
#endif
}

/* Reads a struct open_how in user memory; all 0 if it cannot be read. */
static __always_inline struct open_how io_uring__how(u32 uses, const struct sc_io_uring_sqe *sqe)
{
	struct open_how how = {};

	if (uses & SC_IO_URING_HOW)
		bpf_probe_read_user(&how, sizeof(how), (const void *)sqe->off);
	return how;
}

static __always_inline u32 io_uring__op_flags(u32 uses, u8 opcode, const struct sc_io_uring_sqe *sqe, u32 how_flags)
{
	u32 flags = uses & SC_IO_URING_HOW ? how_flags : uses & SC_IO_URING_FLAGS_LEN ? sqe->len : sqe->op_flags;

	if (opcode == SC_IORING_OP_OPENAT || opcode == SC_IORING_OP_OPENAT2 || opcode == SC_IORING_OP_PIPE)
		return io_uring__open_flags(flags);
	return flags;
}

/* Stores the parameters fd to name2: descriptors and the paths relative to them. */
static __always_inline void io_uring__store_names(struct auxmap *auxmap, struct io_kiocb *req, u8 opcode, u32 uses,
						  bool is_prepared, const struct sc_io_uring_sqe *sqe)
{
	const u32 fd_in_fixed = 1u << 31;
	const bool is_fixed = uses & SC_IO_URING_FILE && BPF_CORE_READ(req, flags) & SC_IO_URING_FIXED_FILE;
	const bool has_paths = is_prepared && io_uring__has_paths();
	const char *first = has_paths ? io_uring__first_path(req, opcode) : NULL;
	const char *second = has_paths ? io_uring__second_path(req, opcode) : NULL;
	bool has_fd = uses & (SC_IO_URING_FILE | SC_IO_URING_DIR) && !is_fixed;
	bool has_fd2 = uses & (SC_IO_URING_FD2_LEN | SC_IO_URING_FD2_OFF | SC_IO_URING_FD2_IN);
	s32 fd = sqe->fd, fd2 = uses & SC_IO_URING_FD2_LEN ? sqe->len :
				uses & SC_IO_URING_FD2_OFF ? sqe->off :
							     sqe->file_index;
	u64 name = 0;

	/* The kernel's copy, if it keeps one until the completion. */
	if (uses & SC_IO_URING_FILE && is_prepared && bpf_core_field_exists(req->cqe))
		fd = BPF_CORE_READ(req, cqe.fd);
	if (opcode == SC_IORING_OP_CLOSE && sqe->file_index)
		has_fd = false;
	if (uses & SC_IO_URING_FD2_IN && sqe->op_flags & fd_in_fixed)
		has_fd2 = false;
	if (uses & SC_IO_URING_PATH)
		name = sqe->addr;
	else if (uses & SC_IO_URING_PATH_ADDR2)
		name = sqe->off;
	else if (uses & SC_IO_URING_PATH_ADDR3)
		name = sqe->addr3;
	/* Parameter 6: fd (type: PT_FD) */
	io_uring__store(auxmap, io_uring_submit, fd, has_fd, fd);
	/* Parameter 7: file_index (type: PT_UINT32) */
	io_uring__store(auxmap, io_uring_submit, file_index, is_fixed, fd);
	/* Parameter 8: name (type: PT_FSRELPATH) */
	io_uring__store_path(auxmap, io_uring_submit, name, uses & SC_IO_URING_PATH_ADDR2 ? second : first, name);
	/* Parameter 9: fd2 (type: PT_FD) */
	io_uring__store(auxmap, io_uring_submit, fd2, has_fd2, fd2);
	/* Parameter 10: name2 (type: PT_FSRELPATH) */
	io_uring__store_path(auxmap, io_uring_submit, name2, uses & SC_IO_URING_PATH2 ? second : NULL,
			     uses & SC_IO_URING_PATH2 ? sqe->off : 0);
	/* Parameter 11: text (type: PT_CHARBUF) */
	io_uring__store_path(auxmap, io_uring_submit, text, uses & SC_IO_URING_PATH_ADDR2 ? first : NULL,
			     uses & SC_IO_URING_TEXT ? sqe->addr : 0);
}

/* Stores the parameters addr to mask. */
static __always_inline void io_uring__store_values(struct auxmap *auxmap, u8 opcode, u32 uses,
						   const struct sc_io_uring_sqe *sqe)
{
	const u32 has_flags = SC_IO_URING_FLAGS | SC_IO_URING_FLAGS_LEN | SC_IO_URING_HOW;
	const u32 has_len = SC_IO_URING_LEN | SC_IO_URING_LEN_ADDR | SC_IO_URING_LEN_OFF;
	const struct open_how how = io_uring__how(uses, sqe);

	/* Parameter 12: addr (type: PT_UINT64) */
	io_uring__store(auxmap, io_uring_submit, addr, uses & SC_IO_URING_ADDR, sqe->addr);
	/* Parameter 13: len (type: PT_UINT64) */
	io_uring__store(auxmap, io_uring_submit, len, uses & has_len,
			uses & SC_IO_URING_LEN_ADDR ? sqe->addr :
			uses & SC_IO_URING_LEN_OFF  ? sqe->off :
						      sqe->len);
	/* Parameter 14: off (type: PT_INT64) */
	io_uring__store(auxmap, io_uring_submit, off, uses & SC_IO_URING_OFF, sqe->off);
	/* Parameter 15: op_flags (type: PT_FLAGS32) */
	io_uring__store(auxmap, io_uring_submit, op_flags, uses & has_flags,
			io_uring__op_flags(uses, opcode, sqe, how.flags));
	/* Parameter 16: mode (type: PT_UINT32) */
	io_uring__store(auxmap, io_uring_submit, mode, uses & (SC_IO_URING_MODE | SC_IO_URING_HOW),
			uses & SC_IO_URING_HOW ? how.mode : sqe->len);
	/* Parameter 17: resolve (type: PT_FLAGS32) */
	io_uring__store(auxmap, io_uring_submit, resolve, uses & SC_IO_URING_HOW, resolve_flags_to_scap(how.resolve));
	/* Parameter 18: mask (type: PT_FLAGS32) */
	io_uring__store(auxmap, io_uring_submit, mask, uses & SC_IO_URING_MASK, sqe->len);
	auxmap__settle(auxmap);
}

/* Stores the parameters sockaddr to proto. */
static __always_inline void io_uring__store_socket(struct sc_call *call, struct auxmap *auxmap, u32 uses,
						   const struct sc_io_uring_sqe *sqe)
{
	const bool is_socket = uses & SC_IO_URING_SOCKET;

	/* Parameter 19: sockaddr (type: PT_SOCKADDR) */
	auxmap__push(auxmap, SC_INDEX(io_uring_submit, sockaddr), io_uring__write_address(call, auxmap, uses, sqe));
	auxmap__settle(auxmap);
	/* Parameter 20: domain (type: PT_ENUMFLAGS32): the kernel's numbers are the format's */
	io_uring__store(auxmap, io_uring_submit, domain, is_socket, sqe->fd);
	/* Parameter 21: type (type: PT_UINT32) */
	io_uring__store(auxmap, io_uring_submit, type, is_socket, sqe->off);
	/* Parameter 22: proto (type: PT_UINT32) */
	io_uring__store(auxmap, io_uring_submit, proto, is_socket, sqe->len);
}

/*
 * Records a submission. `entry` is the request's in the ring; NULL for the one that the kernel took last. is_prepared:
 * the request has the operation's data.
 */
static __always_inline void io_uring__emit_submit(struct sc_call *call, struct io_ring_ctx *ring, struct io_kiocb *req,
						  const void *entry, bool is_prepared)
{
	const u64 user_data = io_uring__user_data(req);
	struct sc_io_uring_sqe sqe = {};
	struct auxmap auxmap;
	u8 opcode = 0;
	bool is_read;
	u32 uses;

	if (!auxmap__begin(call, &auxmap, io_uring_submit))
		return;
	/* The kernel forgets the number of an operation that it does not know. */
	if (is_prepared)
		opcode = BPF_CORE_READ(req, opcode);
	else
		bpf_probe_read_kernel(&opcode, sizeof(opcode), entry);
	is_read = io_uring__read_entry(entry ? entry : io_uring__entry(ring), opcode, user_data, &sqe);
	uses = is_read ? io_uring__uses(opcode) : 0;
	/* Parameter 1: ring (type: PT_UINT64) */
	auxmap__store(&auxmap, io_uring_submit, ring, (u64)ring);
	/* Parameter 2: req (type: PT_UINT64) */
	auxmap__store(&auxmap, io_uring_submit, req, (u64)req);
	/* Parameter 3: user_data (type: PT_UINT64) */
	auxmap__store(&auxmap, io_uring_submit, user_data, user_data);
	/* Parameter 4: opcode (type: PT_ENUMFLAGS8) */
	auxmap__store(&auxmap, io_uring_submit, opcode, opcode);
	/* Parameter 5: sqe_flags (type: PT_FLAGS8) */
	io_uring__store(&auxmap, io_uring_submit, sqe_flags, is_read, sqe.flags);
	/* Parameters 6 to 22 */
	io_uring__store_names(&auxmap, req, opcode, uses, is_prepared, &sqe);
	io_uring__store_values(&auxmap, opcode, uses, &sqe);
	io_uring__store_socket(call, &auxmap, uses, &sqe);
	/* Parameter 23: slot (type: PT_INT32): the entry's is counted from 1; ~0 lets the kernel choose */
	io_uring__store(&auxmap, io_uring_submit, slot, uses & SC_IO_URING_SLOT && sqe.file_index,
			sqe.file_index == ~0u ? -1 : (s32)(sqe.file_index - 1));
	/* Parameter 24: ioprio (type: PT_UINT16) */
	io_uring__store(&auxmap, io_uring_submit, ioprio, is_read, sqe.ioprio);
	/* Parameter 25: buf_index (type: PT_UINT16) */
	io_uring__store(&auxmap, io_uring_submit, buf_index, uses & SC_IO_URING_BUF, sqe.buf_index);
	/* Parameter 26: personality (type: PT_UINT16) */
	io_uring__store(&auxmap, io_uring_submit, personality, is_read, sqe.personality);
	/* Parameters 27 and 28: thread, thread_kind */
	io_uring__store_thread(call, &auxmap, io_uring_submit, ring);
	auxmap__submit_event(call, &auxmap, io_uring_submit);
}

static __always_inline int io_uring__submit(u64 *ctx, struct io_kiocb *req, const void *entry, bool is_prepared)
{
	struct sc_call call = { .ctx = ctx, .way = SC_WAY_TRACEPOINT };
	struct io_uring_owner owner;
	struct io_ring_ctx *ring;

	if (!tracepoint__enabled(SC_TP_IO_URING))
		return 0;
	ring = BPF_CORE_READ(req, ctx);
	io_uring__find_owner(ring, req, &owner);
	if (io_uring__begin(&call, ring, &owner)) {
		io_uring__emit_submit(&call, ring, req, entry, is_prepared);
		call__end(&call);
	}
	return 0;
}

/* Argument: the request. From 6.4 on. */
SEC("tp_btf/io_uring_submit_req") int io_uring_submit(u64 *ctx)
{
	return io_uring__submit(ctx, (struct io_kiocb *)SC_CONTEXT_WORD(ctx, 0), NULL, true);
}

/* The same before 6.4: see enum sc_io_uring_submit. */
SEC("tp_btf/io_uring_submit_sqe") int io_uring_submit_sqe(u64 *ctx)
{
	struct io_kiocb *req = sc_constants.io_uring_submit == SC_IO_URING_SUBMIT_RING_REQ ?
				       (struct io_kiocb *)SC_CONTEXT_WORD(ctx, 1) :
				       (struct io_kiocb *)SC_CONTEXT_WORD(ctx, 0);

	return io_uring__submit(ctx, req, NULL, true);
}

/* Arguments: the entry, the request, the error. A request that the kernel refuses has no other event before 5.19. */
SEC("tp_btf/io_uring_req_failed") int io_uring_req_failed(u64 *ctx)
{
	return io_uring__submit(ctx, (struct io_kiocb *)SC_CONTEXT_WORD(ctx, 1), (const void *)SC_CONTEXT_WORD(ctx, 0),
				false);
}

/* --------------------------------------------------------------- completion */

/* A completion. */
struct io_uring_result {
	struct io_ring_ctx *ring;
	struct io_kiocb *req; /* NULL if the kernel does not say it */
	u64 user_data;
	s32 res;
	u32 flags;
};

/* Reads the tracepoint's arguments: see enum sc_io_uring_complete. */
static __always_inline void io_uring__read_result(u64 *ctx, struct io_uring_result *result)
{
	result->ring = (struct io_ring_ctx *)SC_CONTEXT_WORD(ctx, 0);
	if (sc_constants.io_uring_complete == SC_IO_URING_COMPLETE_RES) {
		result->req = NULL;
		result->user_data = SC_CONTEXT_WORD(ctx, 1);
		result->res = SC_CONTEXT_WORD(ctx, 2);
		result->flags = SC_CONTEXT_WORD(ctx, 3);
		return;
	}
	result->req = (struct io_kiocb *)SC_CONTEXT_WORD(ctx, 1);
	if (sc_constants.io_uring_complete == SC_IO_URING_COMPLETE_REQ) {
		result->user_data = SC_CONTEXT_WORD(ctx, 2);
		result->res = SC_CONTEXT_WORD(ctx, 3);
		result->flags = SC_CONTEXT_WORD(ctx, 4);
	} else {
		struct sc_io_uring_cqe cqe = {};

		bpf_probe_read_kernel(&cqe, sizeof(cqe), (const void *)SC_CONTEXT_WORD(ctx, 2));
		result->user_data = cqe.user_data;
		result->res = cqe.res;
		result->flags = cqe.flags;
	}
}

/* The descriptors that a completed request is about: made or closed; -1 if none. */
struct io_uring_fds {
	s32 fd;
	s32 fd2;
};

static __always_inline void io_uring__find_fds(const struct io_uring_result *result, u8 opcode,
					       struct io_uring_fds *fds)
{
	struct io_kiocb *req = result->req;

	fds->fd = fds->fd2 = -1;
	if (io_uring__slot_of(req, opcode))
		return;
	if (opcode == SC_IORING_OP_CLOSE) {
		fds->fd = BPF_CORE_READ((struct io_close *)req, fd);
	} else if (io_uring__uses(opcode) & SC_IO_URING_MAKES_FD) {
		fds->fd = result->res < 0 ? -1 : result->res;
	} else if (opcode == SC_IORING_OP_PIPE && !result->res && bpf_core_type_exists(struct io_pipe)) {
		s32 ends[2] = { -1, -1 };

		bpf_probe_read_user(ends, sizeof(ends), BPF_CORE_READ((struct io_pipe *)req, fds));
		fds->fd = ends[0];
		fds->fd2 = ends[1];
	}
}

/* Returns the file that a request has opened, or the registered one that it worked on; NULL if neither. */
static __always_inline struct file *io_uring__named_file(struct io_kiocb *req, u8 opcode, s32 fd)
{
	if (opcode == SC_IORING_OP_OPENAT || opcode == SC_IORING_OP_OPENAT2)
		return extract__file(fd);
	if (io_uring__uses(opcode) & SC_IO_URING_FILE && BPF_CORE_READ(req, flags) & SC_IO_URING_FIXED_FILE)
		return BPF_CORE_READ(req, file);
	return NULL;
}

/* Writes the ends of the socket that a request has accepted or connected. Returns the length, 0 if there is none. */
static __always_inline u16 io_uring__write_tuple(struct auxmap *auxmap, const struct io_uring_result *result, u8 opcode,
						 s32 fd)
{
	const s32 einprogress = 115;
	struct io_kiocb *req = result->req;

	if (opcode == SC_IORING_OP_ACCEPT && fd >= 0)
		return tuple__write(auxmap, fd, SC_INBOUND, NULL, 0);
	if (opcode == SC_IORING_OP_CONNECT && (!result->res || result->res == -einprogress))
		return tuple__write_of(auxmap, extract__sock_of(BPF_CORE_READ(req, file)), SC_OUTBOUND, NULL, 0);
	return 0;
}

/*
 * Stores the parameters fd to tuple: what the kernel knows of the descriptors, if the current thread shares them. Returns
 * whether the request has made or closed one.
 */
static __always_inline bool io_uring__store_files(struct auxmap *auxmap, const struct io_uring_result *result,
						  u8 opcode, bool is_known)
{
	struct io_uring_fds fds = { -1, -1 };
	struct file *file = NULL;
	struct inode *inode;

	if (is_known) {
		io_uring__find_fds(result, opcode, &fds);
		file = io_uring__named_file(result->req, opcode, fds.fd);
	}
	inode = BPF_CORE_READ(file, f_inode);
	/* Parameter 7: fd (type: PT_FD) */
	io_uring__store(auxmap, io_uring_complete, fd, fds.fd >= 0, fds.fd);
	/* Parameter 8: fd2 (type: PT_FD) */
	io_uring__store(auxmap, io_uring_complete, fd2, fds.fd2 >= 0, fds.fd2);
	auxmap__settle(auxmap);
	/* Parameter 9: file (type: PT_FSPATH) */
	if (file && !extract__sock_of(file))
		auxmap__store_path(auxmap, io_uring_complete, file, file);
	else
		auxmap__store_empty(auxmap, io_uring_complete, file);
	auxmap__settle(auxmap);
	/* Parameter 10: dev (type: PT_UINT32) */
	io_uring__store(auxmap, io_uring_complete, dev, inode, extract__dev(inode));
	/* Parameter 11: ino (type: PT_UINT64) */
	io_uring__store(auxmap, io_uring_complete, ino, inode, BPF_CORE_READ(inode, i_ino));
	auxmap__settle(auxmap);
	/* Parameter 12: tuple (type: PT_SOCKTUPLE) */
	auxmap__push(auxmap, SC_INDEX(io_uring_complete, tuple),
		     is_known ? io_uring__write_tuple(auxmap, result, opcode, fds.fd) : 0);
	auxmap__settle(auxmap);
	return fds.fd >= 0;
}

static __always_inline void io_uring__emit_complete(struct sc_call *call, const struct io_uring_result *result)
{
	struct io_kiocb *req = result->req;
	struct auxmap auxmap;
	bool shares_files, changes_state;
	u8 opcode = 0;

	if (!auxmap__begin(call, &auxmap, io_uring_complete))
		return;
	if (req)
		opcode = BPF_CORE_READ(req, opcode);
	shares_files = io_uring__thread_kind(result->ring, call->tid) != PPM_io_uring_threads__OTHER;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, io_uring_complete, res, result->res);
	/* Parameter 2: ring (type: PT_UINT64) */
	auxmap__store(&auxmap, io_uring_complete, ring, (u64)result->ring);
	/* Parameter 3: req (type: PT_UINT64) */
	io_uring__store(&auxmap, io_uring_complete, req, req, (u64)req);
	/* Parameter 4: user_data (type: PT_UINT64) */
	auxmap__store(&auxmap, io_uring_complete, user_data, result->user_data);
	/* Parameter 5: opcode (type: PT_ENUMFLAGS8) */
	io_uring__store(&auxmap, io_uring_complete, opcode, req, opcode);
	/* Parameter 6: cqe_flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, io_uring_complete, cqe_flags, result->flags);
	auxmap__settle(&auxmap);
	/* Parameters 7 to 12 */
	changes_state = io_uring__store_files(&auxmap, result, opcode, req && shares_files);
	/* Parameters 13 and 14: thread, thread_kind */
	io_uring__store_thread(call, &auxmap, io_uring_complete, result->ring);
	/* Not auxmap__submit_event: only some completions build state. */
	if (auxmap.next != io_uring_complete__nparams)
		sc_parameter_missing();
	auxmap__output(call, &auxmap, io_uring_complete__type, changes_state);
}

SEC("tp_btf/io_uring_complete") int io_uring_complete(u64 *ctx)
{
	struct sc_call call = { .ctx = ctx, .way = SC_WAY_TRACEPOINT };
	struct io_uring_result result;
	struct io_uring_owner owner;

	if (!tracepoint__enabled(SC_TP_IO_URING))
		return 0;
	io_uring__read_result(ctx, &result);
	io_uring__find_owner(result.ring, result.req, &owner);
	if (io_uring__begin(&call, result.ring, &owner)) {
		io_uring__emit_complete(&call, &result);
		call__end(&call);
	}
	return 0;
}
