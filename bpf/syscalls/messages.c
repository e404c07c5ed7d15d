/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Data through sockets: sendto, recvfrom, sendmsg, recvmsg. */
#include "extract/data.h"
#include "extract/entries.h"
#include "extract/messages.h"
#include "extract/sockets.h"
#include "template/shapes.h"

/* ------------------------------------------------------- sendto, recvfrom */

SYSCALL_ENTER(sendto_e)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, sendto_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, sendto_e, fd, socket__int_argument(call, 0));
	/* Parameter 2: size (type: PT_UINT32) */
	auxmap__store(&auxmap, sendto_e, size, socket__argument(call, 2));
	/* Parameter 3: tuple (type: PT_SOCKTUPLE) */
	auxmap__store_socktuple(&auxmap, sendto_e, tuple, socket__int_argument(call, 0), SC_OUTBOUND,
				socket__argument(call, 4), socket__argument(call, 5));
	auxmap__submit_event(call, &auxmap, sendto_e);
}

SYSCALL_EXIT(sendto_x)
{
	struct auxmap auxmap;
	u64 size = socket__argument(call, 2);

	if (!auxmap__begin(call, &auxmap, sendto_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, sendto_x, res, call->ret);
	/* Parameter 2: data (type: PT_BYTEBUF) */
	auxmap__store_bytebuf(&auxmap, sendto_x, data, socket__argument(call, 1),
			      data__kept_of(data__sent(call->ret, size), socket__int_argument(call, 0),
					    socket__argument(call, 4), socket__argument(call, 1)),
			      SC_USER);
	/* Parameter 3: fd (type: PT_FD) */
	auxmap__store(&auxmap, sendto_x, fd, socket__int_argument(call, 0));
	/* Parameter 4: size (type: PT_UINT32) */
	auxmap__store(&auxmap, sendto_x, size, size);
	/* Parameter 5: tuple (type: PT_SOCKTUPLE) */
	if (call->ret >= 0)
		auxmap__store_socktuple(&auxmap, sendto_x, tuple, socket__int_argument(call, 0), SC_OUTBOUND,
					socket__argument(call, 4), socket__argument(call, 5));
	else
		auxmap__store_empty(&auxmap, sendto_x, tuple);
	auxmap__submit_event(call, &auxmap, sendto_x);
}

SYSCALL_ENTER(recvfrom_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, recvfrom_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	ringbuf__store(&ringbuf, recvfrom_e, fd, socket__int_argument(call, 0));
	/* Parameter 2: size (type: PT_UINT32) */
	ringbuf__store(&ringbuf, recvfrom_e, size, socket__argument(call, 2));
	ringbuf__submit_event(call, &ringbuf, recvfrom_e);
}

SYSCALL_EXIT(recvfrom_x)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, recvfrom_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, recvfrom_x, res, call->ret);
	/* Parameter 2: data (type: PT_BYTEBUF) */
	auxmap__store_bytebuf(&auxmap, recvfrom_x, data, socket__argument(call, 1),
			      data__kept_of(data__received(call->ret), socket__int_argument(call, 0),
					    socket__argument(call, 4), socket__argument(call, 1)),
			      SC_USER);
	/* Parameter 3: tuple (type: PT_SOCKTUPLE) */
	if (call->ret >= 0)
		auxmap__store_socktuple(&auxmap, recvfrom_x, tuple, socket__int_argument(call, 0), SC_INBOUND,
					socket__argument(call, 4), message__u32(socket__argument(call, 5)));
	else
		auxmap__store_empty(&auxmap, recvfrom_x, tuple);
	/* Parameter 4: fd (type: PT_FD) */
	auxmap__store(&auxmap, recvfrom_x, fd, socket__int_argument(call, 0));
	/* Parameter 5: size (type: PT_UINT32) */
	auxmap__store(&auxmap, recvfrom_x, size, socket__argument(call, 2));
	auxmap__submit_event(call, &auxmap, recvfrom_x);
}

/* -------------------------------------------------------- sendmsg, recvmsg */

/* Reads the call's message header. Returns false and an empty header if it cannot be read. */
static __always_inline bool messages__read_header(const struct sc_call *call, struct sc_msghdr *header)
{
	return message__read_header(call, socket__argument(call, 1), header);
}

/* Stores the size of a message; no value if its header cannot be read. */
#define messages__store_size(auxmap, program, is_known, bytes)       \
	do {                                                         \
		if (is_known)                                        \
			auxmap__store(auxmap, program, size, bytes); \
		else                                                 \
			auxmap__store_empty(auxmap, program, size);  \
	} while (0)

SYSCALL_ENTER(sendmsg_e)
{
	struct auxmap auxmap;
	struct sc_msghdr header;
	bool readable = messages__read_header(call, &header);
	u32 size = vector__size(call, header.iov, header.iovlen);

	if (!auxmap__begin(call, &auxmap, sendmsg_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, sendmsg_e, fd, socket__int_argument(call, 0));
	/* Parameter 2: size (type: PT_UINT32) */
	messages__store_size(&auxmap, sendmsg_e, readable, size);
	/* Parameter 3: tuple (type: PT_SOCKTUPLE) */
	auxmap__store_socktuple(&auxmap, sendmsg_e, tuple, socket__int_argument(call, 0), SC_OUTBOUND, header.name,
				header.namelen);
	auxmap__submit_event(call, &auxmap, sendmsg_e);
}

SYSCALL_EXIT(sendmsg_x)
{
	struct auxmap auxmap;
	struct sc_msghdr header;
	bool readable = messages__read_header(call, &header);
	u32 size = vector__size(call, header.iov, header.iovlen);

	if (!auxmap__begin(call, &auxmap, sendmsg_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, sendmsg_x, res, call->ret);
	/* Parameter 2: data (type: PT_BYTEBUF) */
	auxmap__store_vector(call, &auxmap, sendmsg_x, data, header.iov, header.iovlen,
			     data__kept_of(data__sent(call->ret, size), socket__int_argument(call, 0), header.name, 0));
	/* Parameter 3: fd (type: PT_FD) */
	auxmap__store(&auxmap, sendmsg_x, fd, socket__int_argument(call, 0));
	/* Parameter 4: size (type: PT_UINT32) */
	messages__store_size(&auxmap, sendmsg_x, readable, size);
	/* Parameter 5: tuple (type: PT_SOCKTUPLE) */
	if (call->ret >= 0)
		auxmap__store_socktuple(&auxmap, sendmsg_x, tuple, socket__int_argument(call, 0), SC_OUTBOUND,
					header.name, header.namelen);
	else
		auxmap__store_empty(&auxmap, sendmsg_x, tuple);
	auxmap__submit_event(call, &auxmap, sendmsg_x);
}

SYSCALL_ENTER_STORE(recvmsg_e, socket__store_fd)

SYSCALL_EXIT(recvmsg_x)
{
	struct auxmap auxmap;
	struct sc_msghdr header = {};

	if (!auxmap__begin(call, &auxmap, recvmsg_x))
		return;
	if (call->ret >= 0)
		messages__read_header(call, &header);
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, recvmsg_x, res, call->ret);
	/* Parameter 2: size (type: PT_UINT32) */
	auxmap__store(&auxmap, recvmsg_x, size, data__received(call->ret));
	/* Parameter 3: data (type: PT_BYTEBUF) */
	auxmap__store_vector(call, &auxmap, recvmsg_x, data, header.iov, header.iovlen,
			     data__kept_of(data__received(call->ret), socket__int_argument(call, 0), header.name, 0));
	/* Parameter 4: tuple (type: PT_SOCKTUPLE) */
	if (call->ret >= 0)
		auxmap__store_socktuple(&auxmap, recvmsg_x, tuple, socket__int_argument(call, 0), SC_INBOUND,
					header.name, header.namelen);
	else
		auxmap__store_empty(&auxmap, recvmsg_x, tuple);
	/* Parameter 5: msgcontrol (type: PT_BYTEBUF) */
	auxmap__store_bytebuf(&auxmap, recvmsg_x, msgcontrol, header.control, header.controllen, SC_USER);
	/* Parameter 6: fd (type: PT_FD) */
	auxmap__store(&auxmap, recvmsg_x, fd, socket__int_argument(call, 0));
	entries__submit_received(call, &auxmap, recvmsg_x, header);
}
