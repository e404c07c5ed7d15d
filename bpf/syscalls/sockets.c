/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* socket, socketpair, bind, connect, listen, accept, accept4, getsockname, getpeername, shutdown. */
#include "extract/file_flags.h"
#include "extract/messages.h"
#include "extract/sockets.h"
#include "template/extension.h"
#include "template/shapes.h"

/* ------------------------------------------------------------------ socket */

/* The arguments common to socket and socketpair. */
#define socket__store_kind(call, ringbuf, program)                                   \
	do {                                                                         \
		/* domain (type: PT_ENUMFLAGS32): the kernel's values */             \
		ringbuf__store(ringbuf, program, domain, socket__argument(call, 0)); \
		/* type (type: PT_UINT32) */                                         \
		ringbuf__store(ringbuf, program, type, socket__argument(call, 1));   \
		/* proto (type: PT_UINT32) */                                        \
		ringbuf__store(ringbuf, program, proto, socket__argument(call, 2));  \
	} while (0)

SYSCALL_ENTER_STORE(socket_e, socket__store_kind)

SYSCALL_EXIT(socket_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, socket_x))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, socket_x, fd, call->ret);
	/* Parameters 2 to 4 */
	socket__store_kind(call, &ringbuf, socket_x);
	/* Parameter 5: flags (type: PT_FLAGS32) */
	ringbuf__store(&ringbuf, socket_x, flags, descriptor_flags_to_scap(socket__argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, socket_x);
}

/* The two sockets of a socketpair: descriptors and kernel addresses; -1 and 0 if it failed. */
struct socket_pair {
	s32 fd[2];
	u64 source;
	u64 peer;
};

static __always_inline struct socket_pair socket__pair(const struct sc_call *call)
{
	struct socket_pair pair = { .fd = { -1, -1 } };
	struct sock *sk;

	if (call->ret != 0)
		return pair;
	bpf_probe_read_user(pair.fd, sizeof(pair.fd), (const void *)socket__argument(call, 3));
	sk = extract__sock(pair.fd[0]);
	pair.source = (u64)sk;
	if (sk && BPF_CORE_READ(sk, __sk_common.skc_family) == SC_AF_UNIX)
		pair.peer = (u64)BPF_CORE_READ((struct unix_sock *)sk, peer);
	return pair;
}

#define socket__store_pair(call, ringbuf, program)                      \
	do {                                                            \
		struct socket_pair pair_ = socket__pair(call);          \
                                                                        \
		/* Parameter 2: fd1 (type: PT_FD) */                    \
		ringbuf__store(ringbuf, program, fd1, pair_.fd[0]);     \
		/* Parameter 3: fd2 (type: PT_FD) */                    \
		ringbuf__store(ringbuf, program, fd2, pair_.fd[1]);     \
		/* Parameter 4: source (type: PT_UINT64) */             \
		ringbuf__store(ringbuf, program, source, pair_.source); \
		/* Parameter 5: peer (type: PT_UINT64) */               \
		ringbuf__store(ringbuf, program, peer, pair_.peer);     \
		/* Parameters 6 to 8 */                                 \
		socket__store_kind(call, ringbuf, program);             \
	} while (0)

SYSCALL_ENTER_STORE(socketpair_e, socket__store_kind)
SYSCALL_EXIT_STORE(socketpair_x, socket__store_pair)

/* An exit event without parameters. Its extension has the result, the descriptor and the address that was returned. */
#define SOCKET_EXIT_ADDRESS(program)                                                                           \
	SYSCALL_EXIT(program)                                                                                  \
	{                                                                                                      \
		struct auxmap auxmap;                                                                          \
		struct ringbuf_struct ringbuf;                                                                 \
                                                                                                               \
		if (!sc_settings.extensions) {                                                                 \
			if (ringbuf__reserve_space(call, &ringbuf, program))                                   \
				ringbuf__submit_event(call, &ringbuf, program);                                \
			return;                                                                                \
		}                                                                                              \
		if (!auxmap__begin(call, &auxmap, program) || !auxmap__extend(call, &auxmap, program))         \
			return;                                                                                \
		/* Parameter 1: res (type: PT_ERRNO) */                                                        \
		auxmap__store(&auxmap, program##__extension, res, call->ret);                                  \
		/* Parameter 2: fd (type: PT_FD) */                                                            \
		auxmap__store(&auxmap, program##__extension, fd, socket__int_argument(call, 0));               \
		/* Parameter 3: addr (type: PT_SOCKADDR) */                                                    \
		if (call->ret)                                                                                 \
			auxmap__store_empty(&auxmap, program##__extension, addr);                              \
		else                                                                                           \
			auxmap__store_sockaddr(&auxmap, program##__extension, addr, socket__argument(call, 1), \
					       message__u32(socket__argument(call, 2)));                       \
		auxmap__submit_extended(call, &auxmap, program);                                               \
	}

SYSCALL_ENTER_EMPTY(getsockname_e)
SOCKET_EXIT_ADDRESS(getsockname_x)
SYSCALL_ENTER_EMPTY(getpeername_e)
SOCKET_EXIT_ADDRESS(getpeername_x)

/* ----------------------------------------------------------- bind, connect */

SYSCALL_ENTER_STORE(bind_e, socket__store_fd)

SYSCALL_EXIT(bind_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, bind_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, bind_x, res, call->ret);
	/* Parameter 2: addr (type: PT_SOCKADDR) */
	auxmap__store_sockaddr(&auxmap, bind_x, addr, socket__argument(call, 1), socket__argument(call, 2));
	/* Parameter 3: fd (type: PT_FD) */
	auxmap__store(&auxmap, bind_x, fd, socket__int_argument(call, 0));
	auxmap__submit_event(call, &auxmap, bind_x);
}

SYSCALL_ENTER(connect_e)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, connect_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, connect_e, fd, socket__int_argument(call, 0));
	/* Parameter 2: addr (type: PT_SOCKADDR) */
	auxmap__store_sockaddr(&auxmap, connect_e, addr, socket__argument(call, 1), socket__argument(call, 2));
	auxmap__submit_event(call, &auxmap, connect_e);
}

SYSCALL_EXIT(connect_x)
{
	const s64 einprogress = 115;
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, connect_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, connect_x, res, call->ret);
	/* Parameter 2: tuple (type: PT_SOCKTUPLE) */
	if (call->ret == 0 || call->ret == -einprogress)
		auxmap__store_socktuple(&auxmap, connect_x, tuple, socket__int_argument(call, 0), SC_OUTBOUND,
					socket__argument(call, 1), socket__argument(call, 2));
	else
		auxmap__store_empty(&auxmap, connect_x, tuple);
	/* Parameter 3: fd (type: PT_FD) */
	auxmap__store(&auxmap, connect_x, fd, socket__int_argument(call, 0));
	/* Parameter 4: addr (type: PT_SOCKADDR) */
	auxmap__store_sockaddr(&auxmap, connect_x, addr, socket__argument(call, 1), socket__argument(call, 2));
	auxmap__submit_event(call, &auxmap, connect_x);
}

/* ---------------------------------------------------------- listen, accept */

SYSCALL_ENTER(listen_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, listen_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, listen_e, fd, socket__int_argument(call, 0));
	/* Parameter 2: backlog (type: PT_INT32) */
	ringbuf__store(&ringbuf, listen_e, backlog, socket__int_argument(call, 1));
	ringbuf__submit_event(call, &ringbuf, listen_e);
}

SYSCALL_EXIT(listen_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, listen_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, listen_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, listen_x, fd, socket__int_argument(call, 0));
	/* Parameter 3: backlog (type: PT_INT32) */
	ringbuf__store(&ringbuf, listen_x, backlog, socket__int_argument(call, 1));
	ringbuf__submit_event(call, &ringbuf, listen_x);
}

/* The queue of pending connections; all 0 if the call failed. */
struct accept_queue {
	u32 len;
	u32 max;
	u8 percent;
};

static __always_inline struct accept_queue accept__queue(const struct sc_call *call)
{
	struct accept_queue queue = {};
	struct sock *sk = call->ret < 0 ? NULL : extract__sock(socket__int_argument(call, 0));

	if (!sk)
		return queue;
	queue.len = BPF_CORE_READ(sk, sk_ack_backlog);
	queue.max = BPF_CORE_READ(sk, sk_max_ack_backlog);
	if (queue.max)
		queue.percent = (u64)queue.len * 100 / queue.max;
	return queue;
}

/* The first parameters of both exit events. */
#define accept__store_exit(call, auxmap, program)                                                  \
	do {                                                                                       \
		struct accept_queue queue_ = accept__queue(call);                                  \
                                                                                                   \
		/* Parameter 1: fd (type: PT_FD) */                                                \
		auxmap__store(auxmap, program, fd, (call)->ret);                                   \
		/* Parameter 2: tuple (type: PT_SOCKTUPLE) */                                      \
		auxmap__store_socktuple(auxmap, program, tuple, (call)->ret, SC_INBOUND, NULL, 0); \
		/* Parameter 3: queuepct (type: PT_UINT8) */                                       \
		auxmap__store(auxmap, program, queuepct, queue_.percent);                          \
		/* Parameter 4: queuelen (type: PT_UINT32) */                                      \
		auxmap__store(auxmap, program, queuelen, queue_.len);                              \
		/* Parameter 5: queuemax (type: PT_UINT32) */                                      \
		auxmap__store(auxmap, program, queuemax, queue_.max);                              \
	} while (0)

SYSCALL_ENTER_EMPTY(accept_e)

SYSCALL_EXIT(accept_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, accept_x))
		return;
	accept__store_exit(call, &auxmap, accept_x);
	auxmap__submit_event(call, &auxmap, accept_x);
}

SYSCALL_ENTER(accept4_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, accept4_e))
		return;
	/* Parameter 1: flags (type: PT_INT32) */
	ringbuf__store(&ringbuf, accept4_e, flags, socket_flags_to_scap(socket__argument(call, 3)));
	ringbuf__submit_event(call, &ringbuf, accept4_e);
}

SYSCALL_EXIT(accept4_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, accept4_x))
		return;
	accept__store_exit(call, &auxmap, accept4_x);
	/* Parameter 6: flags (type: PT_INT32) */
	auxmap__store(&auxmap, accept4_x, flags, socket_flags_to_scap(socket__argument(call, 3)));
	auxmap__submit_event(call, &auxmap, accept4_x);
}

/* ---------------------------------------------------------------- shutdown */

SYSCALL_ENTER(shutdown_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, shutdown_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, shutdown_e, fd, socket__int_argument(call, 0));
	/* Parameter 2: how (type: PT_ENUMFLAGS8) */
	ringbuf__store(&ringbuf, shutdown_e, how, shutdown_how_to_scap(socket__argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, shutdown_e);
}

SYSCALL_EXIT(shutdown_x)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, shutdown_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, shutdown_x, res, call->ret);
	/* Parameter 2: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, shutdown_x, fd, socket__int_argument(call, 0));
	/* Parameter 3: how (type: PT_ENUMFLAGS8) */
	ringbuf__store(&ringbuf, shutdown_x, how, shutdown_how_to_scap(socket__argument(call, 1)));
	ringbuf__submit_event(call, &ringbuf, shutdown_x);
}
