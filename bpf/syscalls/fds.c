/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Calls on file descriptors of any kind. */
#include "extract/file_flags.h"
#include "template/shapes.h"

SYSCALL_ENTER_FD(close_e)
SYSCALL_EXIT_FD(close_x)

SYSCALL_ENTER_EMPTY(close_range_e)

SYSCALL_EXIT(close_range_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, close_range_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, close_range_x, res, call->ret);
	/* Parameter 2: first (type: PT_UINT32) */
	ringbuf__store(&ringbuf, close_range_x, first, extract__syscall_argument(call, 0));
	/* Parameter 3: last (type: PT_UINT32) */
	ringbuf__store(&ringbuf, close_range_x, last, extract__syscall_argument(call, 1));
	/* Parameter 4: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, close_range_x, flags, close_range_flags_to_scap(extract__syscall_argument(call, 2)));
	ringbuf__submit_event(call, &ringbuf, close_range_x);
}

SYSCALL_ENTER_FD(dup_e)
SYSCALL_ENTER_FD(dup2_e)
SYSCALL_ENTER_FD(dup3_e)

SYSCALL_EXIT(dup_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, dup_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, dup_x, res, call->ret);
	/* Parameter 2: oldfd (type: PT_FD) */
	ringbuf__store(&ringbuf, dup_x, oldfd, extract__int_argument(call, 0));
	ringbuf__submit_event(call, &ringbuf, dup_x);
}

SYSCALL_EXIT(dup2_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, dup2_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, dup2_x, res, call->ret);
	/* Parameter 2: oldfd (type: PT_FD) */
	ringbuf__store(&ringbuf, dup2_x, oldfd, extract__int_argument(call, 0));
	/* Parameter 3: newfd (type: PT_FD) */
	ringbuf__store(&ringbuf, dup2_x, newfd, extract__int_argument(call, 1));
	ringbuf__submit_event(call, &ringbuf, dup2_x);
}

SYSCALL_EXIT(dup3_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, dup3_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, dup3_x, res, call->ret);
	/* Parameter 2: oldfd (type: PT_FD) */
	ringbuf__store(&ringbuf, dup3_x, oldfd, extract__int_argument(call, 0));
	/* Parameter 3: newfd (type: PT_FD) */
	ringbuf__store(&ringbuf, dup3_x, newfd, extract__int_argument(call, 1));
	/* Parameter 4: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, dup3_x, flags, dup3_flags_to_scap(extract__syscall_argument(call, 2)));
	ringbuf__submit_event(call, &ringbuf, dup3_x);
}

/* The two ends of a new pipe. */
struct pipe_ends {
	s32 fd[2];
};

/* Returns the ends; both -1 if the call failed or the caller's memory cannot be read. */
static __always_inline struct pipe_ends pipe__ends(const struct sc_call *call)
{
	struct pipe_ends ends;
	const void *pointer = (const void *)extract__syscall_argument(call, 0);

	if (call->ret || bpf_probe_read_user(&ends, sizeof(ends), pointer))
		ends.fd[0] = ends.fd[1] = -1;
	return ends;
}

SYSCALL_ENTER_EMPTY(pipe_e)
SYSCALL_ENTER_EMPTY(pipe2_e)

SYSCALL_EXIT(pipe_x)
{
	struct ringbuf_struct ringbuf;
	struct pipe_ends ends = pipe__ends(call);

	if (!ringbuf__reserve_space(call, &ringbuf, pipe_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, pipe_x, res, call->ret);
	/* Parameter 2: fd1 (type: PT_FD) */
	ringbuf__store(&ringbuf, pipe_x, fd1, ends.fd[0]);
	/* Parameter 3: fd2 (type: PT_FD) */
	ringbuf__store(&ringbuf, pipe_x, fd2, ends.fd[1]);
	/* Parameter 4: ino (type: PT_UINT64) */
	ringbuf__store(&ringbuf, pipe_x, ino, extract__ino(ends.fd[0]));
	ringbuf__submit_event(call, &ringbuf, pipe_x);
}

SYSCALL_EXIT(pipe2_x)
{
	struct ringbuf_struct ringbuf;
	struct pipe_ends ends = pipe__ends(call);

	if (!ringbuf__reserve_space(call, &ringbuf, pipe2_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, pipe2_x, res, call->ret);
	/* Parameter 2: fd1 (type: PT_FD) */
	ringbuf__store(&ringbuf, pipe2_x, fd1, ends.fd[0]);
	/* Parameter 3: fd2 (type: PT_FD) */
	ringbuf__store(&ringbuf, pipe2_x, fd2, ends.fd[1]);
	/* Parameter 4: ino (type: PT_UINT64) */
	ringbuf__store(&ringbuf, pipe2_x, ino, extract__ino(ends.fd[0]));
	/* Parameter 5: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, pipe2_x, flags, pipe2_flags_to_scap(extract__syscall_argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, pipe2_x);
}

static __always_inline u8 fcntl__command(const struct sc_call *call)
{
	return fcntl_command_to_scap(extract__syscall_argument(call, 1), call->compat);
}

SYSCALL_ENTER(fcntl_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, fcntl_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, fcntl_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: cmd (type: PT_ENUMFLAGS8) */
	ringbuf__store(&ringbuf, fcntl_e, cmd, fcntl__command(call));
	ringbuf__submit_event(call, &ringbuf, fcntl_e);
}

SYSCALL_EXIT(fcntl_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, fcntl_x))
		return;
	/* Parameter 1: res (type: PT_FD) */
	ringbuf__store(&ringbuf, fcntl_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, fcntl_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: cmd (type: PT_ENUMFLAGS8) */
	ringbuf__store(&ringbuf, fcntl_x, cmd, fcntl__command(call));
	/* Parameter 4: arg (type: PT_UINT64) */
	ringbuf__store(&ringbuf, fcntl_x, arg, extract__syscall_argument(call, 2));
	ringbuf__submit_event(call, &ringbuf, fcntl_x);
}

SYSCALL_ENTER(ioctl_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, ioctl_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, ioctl_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: request (type: PT_UINT64) */
	ringbuf__store(&ringbuf, ioctl_e, request, extract__syscall_argument(call, 1));
	/* Parameter 3: argument (type: PT_UINT64) */
	ringbuf__store(&ringbuf, ioctl_e, argument, extract__syscall_argument(call, 2));
	ringbuf__submit_event(call, &ringbuf, ioctl_e);
}

SYSCALL_EXIT(ioctl_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, ioctl_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, ioctl_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, ioctl_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: request (type: PT_UINT64) */
	ringbuf__store(&ringbuf, ioctl_x, request, extract__syscall_argument(call, 1));
	/* Parameter 4: argument (type: PT_UINT64) */
	ringbuf__store(&ringbuf, ioctl_x, argument, extract__syscall_argument(call, 2));
	ringbuf__submit_event(call, &ringbuf, ioctl_x);
}

/* Returns the offset, which is as wide as the caller's long. */
static __always_inline u64 lseek__offset(const struct sc_call *call)
{
	return call->compat ? (u64)extract__int_argument(call, 1) : extract__syscall_argument(call, 1);
}

SYSCALL_ENTER(lseek_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, lseek_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, lseek_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: offset (type: PT_UINT64) */
	ringbuf__store(&ringbuf, lseek_e, offset, lseek__offset(call));
	/* Parameter 3: whence (type: PT_ENUMFLAGS8) */
	ringbuf__store(&ringbuf, lseek_e, whence, lseek_whence_to_scap(extract__syscall_argument(call, 2)));
	ringbuf__submit_event(call, &ringbuf, lseek_e);
}

SYSCALL_EXIT(lseek_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, lseek_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, lseek_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, lseek_x, fd, extract__int_argument(call, 0));
	/* Parameter 3: offset (type: PT_UINT64) */
	ringbuf__store(&ringbuf, lseek_x, offset, lseek__offset(call));
	/* Parameter 4: whence (type: PT_ENUMFLAGS8) */
	ringbuf__store(&ringbuf, lseek_x, whence, lseek_whence_to_scap(extract__syscall_argument(call, 2)));
	ringbuf__submit_event(call, &ringbuf, lseek_x);
}
