/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * sendmmsg, recvmmsg: each message has its own exit event, with the message's length as the result. A call without any
 * has one event. A global function records each message, so that the verifier checks it once and not per message. All
 * events are part of one run.
 */
#include "extract/data.h"
#include "extract/entries.h"
#include "extract/messages.h"
#include "extract/sockets.h"
#include "template/shapes.h"

enum {
	SC_MAX_MESSAGES = 1024, /* UIO_MAXIOV: the kernel handles no more per call */
};

/* A message after the call. */
struct mmsg {
	struct sc_msghdr header;
	u32 len;
};

static __always_inline struct mmsg mmsg__read(const struct sc_call *call, u64 pointer)
{
	u64 at = call->compat ? __builtin_offsetof(struct sc_mmsghdr32, len) :
				__builtin_offsetof(struct sc_mmsghdr, len);
	struct mmsg message;

	message__read_header(call, pointer, &message.header);
	message.len = message__u32(pointer + at);
	return message;
}

/* Rebuilds the run in a function without access to the caller's structures, with a time of the message's own. */
static __always_inline bool mmsg__continue(struct sc_call *call, bool nested)
{
	call->way = SC_WAY_EXIT;
	call->nested = nested;
	if (!call__locate(call))
		return false;
	call__read_clock(call);
	return true;
}

/* Calls `record` for each message that the kernel handled. */
#define mmsg__for_each(call, record)                                                                                   \
	do {                                                                                                           \
		s64 fd_ = socket__int_argument(call, 0);                                                               \
		u64 messages_ = socket__argument(call, 1);                                                             \
		u64 size_ = (call)->compat ? sizeof(struct sc_mmsghdr32) : sizeof(struct sc_mmsghdr);                  \
                                                                                                                       \
		_Pragma("clang loop unroll(disable)") for (u32 i_ = 0; i_ < SC_MAX_MESSAGES && i_ < (call)->ret; i_++) \
			record(messages_ + i_ * size_, fd_, (call)->nested);                                           \
	} while (0)

/* Parameters 1 to 5 of both exit events, for a call that handled no message. */
#define mmsg__store_none(call, auxmap, program)                                    \
	do {                                                                       \
		/* Parameter 1: res (type: PT_ERRNO) */                            \
		auxmap__store(auxmap, program, res, (call)->ret);                  \
		/* Parameter 2: fd (type: PT_FD) */                                \
		auxmap__store(auxmap, program, fd, socket__int_argument(call, 0)); \
		/* Parameter 3: size (type: PT_UINT32) */                          \
		auxmap__store(auxmap, program, size, 0);                           \
		/* Parameter 4: data (type: PT_BYTEBUF) */                         \
		auxmap__store_empty(auxmap, program, data);                        \
		/* Parameter 5: tuple (type: PT_SOCKTUPLE) */                      \
		auxmap__store_empty(auxmap, program, tuple);                       \
	} while (0)

/* Parameters 1 to 5 of a message; `length` is the data's, in bytes. */
#define mmsg__store(call, auxmap, program, message, fd_argument, size_sent, length, direction)                   \
	do {                                                                                                     \
		/* Parameter 1: res (type: PT_ERRNO) */                                                          \
		auxmap__store(auxmap, program, res, (message).len);                                              \
		/* Parameter 2: fd (type: PT_FD) */                                                              \
		auxmap__store(auxmap, program, fd, fd_argument);                                                 \
		/* Parameter 3: size (type: PT_UINT32) */                                                        \
		auxmap__store(auxmap, program, size, size_sent);                                                 \
		/* Parameter 4: data (type: PT_BYTEBUF) */                                                       \
		auxmap__store_vector(call, auxmap, program, data, (message).header.iov, (message).header.iovlen, \
				     data__kept_of(length, fd_argument, (message).header.name, 0));              \
		/* Parameter 5: tuple (type: PT_SOCKTUPLE) */                                                    \
		auxmap__store_socktuple(auxmap, program, tuple, fd_argument, direction, (message).header.name,   \
					(message).header.namelen);                                               \
	} while (0)

SYSCALL_ENTER_EMPTY(sendmmsg_e)

/* Records a sent message as part of the run. */
__noinline int sendmmsg__record(u64 pointer, s64 fd, u32 nested)
{
	struct sc_call call = {};
	struct auxmap auxmap;
	struct mmsg message;
	u32 size;

	if (!mmsg__continue(&call, nested))
		return 0;
	message = mmsg__read(&call, pointer);
	size = vector__size(&call, message.header.iov, message.header.iovlen);
	if (auxmap__begin(&call, &auxmap, sendmmsg_x)) {
		mmsg__store(&call, &auxmap, sendmmsg_x, message, fd, size, data__sent(message.len, size), SC_OUTBOUND);
		auxmap__submit_event(&call, &auxmap, sendmmsg_x);
	}
	return 0;
}

SYSCALL_EXIT(sendmmsg_x)
{
	struct auxmap auxmap;

	if (call->ret > 0) {
		mmsg__for_each(call, sendmmsg__record);
	} else if (auxmap__begin(call, &auxmap, sendmmsg_x)) {
		mmsg__store_none(call, &auxmap, sendmmsg_x);
		auxmap__submit_event(call, &auxmap, sendmmsg_x);
	}
}

SYSCALL_ENTER_EMPTY(recvmmsg_e)

/* Records a received message as part of the run. */
__noinline int recvmmsg__record(u64 pointer, s64 fd, u32 nested)
{
	struct sc_call call = {};
	struct auxmap auxmap;
	struct mmsg message;

	if (!mmsg__continue(&call, nested))
		return 0;
	message = mmsg__read(&call, pointer);
	if (auxmap__begin(&call, &auxmap, recvmmsg_x)) {
		mmsg__store(&call, &auxmap, recvmmsg_x, message, fd, message.len, message.len, SC_INBOUND);
		/* Parameter 6: msgcontrol (type: PT_BYTEBUF) */
		auxmap__store_bytebuf(&auxmap, recvmmsg_x, msgcontrol, message.header.control,
				      message.header.controllen, SC_USER);
		entries__submit_received(&call, &auxmap, recvmmsg_x, message.header);
	}
	return 0;
}

SYSCALL_EXIT(recvmmsg_x)
{
	struct auxmap auxmap;

	if (call->ret > 0) {
		mmsg__for_each(call, recvmmsg__record);
	} else if (auxmap__begin(call, &auxmap, recvmmsg_x)) {
		mmsg__store_none(call, &auxmap, recvmmsg_x);
		/* Parameter 6: msgcontrol (type: PT_BYTEBUF) */
		auxmap__store_empty(&auxmap, recvmmsg_x, msgcontrol);
		auxmap__submit_event(call, &auxmap, recvmmsg_x);
	}
}
