/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Data through sockets: sendto, recvfrom, sendmsg, recvmsg. */
#include "extract/data.h"
#include "extract/sockets.h"
#include "template/shapes.h"

/* A 32-bit value in user memory; 0 if it cannot be read. */
static __always_inline u32 messages__user_u32(u64 pointer)
{
	u32 value = 0;

	bpf_probe_read_user(&value, sizeof(value), (void *)pointer);
	return value;
}

/* ------------------------------------------------------- sendto, recvfrom */

SYSCALL_ENTER(sendto_e)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, sendto_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, sendto_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: size (type: PT_UINT32) */
	auxmap__store(&auxmap, sendto_e, size, extract__syscall_argument(call, 2));
	/* Parameter 3: tuple (type: PT_SOCKTUPLE) */
	auxmap__store_socktuple(&auxmap, sendto_e, tuple, extract__int_argument(call, 0), SC_OUTBOUND,
				extract__syscall_argument(call, 4), extract__syscall_argument(call, 5));
	auxmap__submit_event(call, &auxmap, sendto_e);
}

SYSCALL_EXIT(sendto_x)
{
	struct auxmap auxmap;
	u64 size = extract__syscall_argument(call, 2);

	if (!auxmap__begin(call, &auxmap, sendto_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, sendto_x, res, call->ret);
	/* Parameter 2: data (type: PT_BYTEBUF) */
	auxmap__store_bytebuf(&auxmap, sendto_x, data, extract__syscall_argument(call, 1),
			      data__kept(data__sent(call->ret, size)), SC_USER);
	/* Parameter 3: fd (type: PT_FD) */
	auxmap__store(&auxmap, sendto_x, fd, extract__int_argument(call, 0));
	/* Parameter 4: size (type: PT_UINT32) */
	auxmap__store(&auxmap, sendto_x, size, size);
	/* Parameter 5: tuple (type: PT_SOCKTUPLE) */
	if (call->ret >= 0)
		auxmap__store_socktuple(&auxmap, sendto_x, tuple, extract__int_argument(call, 0), SC_OUTBOUND,
					extract__syscall_argument(call, 4), extract__syscall_argument(call, 5));
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
	ringbuf__store(&ringbuf, recvfrom_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: size (type: PT_UINT32) */
	ringbuf__store(&ringbuf, recvfrom_e, size, extract__syscall_argument(call, 2));
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
	auxmap__store_bytebuf(&auxmap, recvfrom_x, data, extract__syscall_argument(call, 1),
			      data__kept(data__received(call->ret)), SC_USER);
	/* Parameter 3: tuple (type: PT_SOCKTUPLE) */
	if (call->ret >= 0)
		auxmap__store_socktuple(&auxmap, recvfrom_x, tuple, extract__int_argument(call, 0), SC_INBOUND,
					extract__syscall_argument(call, 4),
					messages__user_u32(extract__syscall_argument(call, 5)));
	else
		auxmap__store_empty(&auxmap, recvfrom_x, tuple);
	/* Parameter 4: fd (type: PT_FD) */
	auxmap__store(&auxmap, recvfrom_x, fd, extract__int_argument(call, 0));
	/* Parameter 5: size (type: PT_UINT32) */
	auxmap__store(&auxmap, recvfrom_x, size, extract__syscall_argument(call, 2));
	auxmap__submit_event(call, &auxmap, recvfrom_x);
}

/* -------------------------------------------------------- sendmsg, recvmsg */

/* The message header of the call; empty if it cannot be read. */
static __always_inline struct sc_msghdr messages__header(const struct sc_call *call)
{
	const void *pointer = (const void *)extract__syscall_argument(call, 1);
	struct sc_msghdr header = {};
	struct sc_msghdr32 header32;

	if (!call->compat) {
		bpf_probe_read_user(&header, sizeof(header), pointer);
	} else if (!bpf_probe_read_user(&header32, sizeof(header32), pointer)) {
		header.name = header32.name;
		header.namelen = header32.namelen;
		header.iov = header32.iov;
		header.iovlen = header32.iovlen;
		header.control = header32.control;
		header.controllen = header32.controllen;
	}
	return header;
}

SYSCALL_ENTER(sendmsg_e)
{
	struct auxmap auxmap;
	struct sc_msghdr header = messages__header(call);
	u32 size = vector__size(call, header.iov, header.iovlen);

	if (!auxmap__begin(call, &auxmap, sendmsg_e))
		return;
	/* Parameter 1: fd (type: PT_FD) */
	auxmap__store(&auxmap, sendmsg_e, fd, extract__int_argument(call, 0));
	/* Parameter 2: size (type: PT_UINT32) */
	auxmap__store(&auxmap, sendmsg_e, size, size);
	/* Parameter 3: tuple (type: PT_SOCKTUPLE) */
	auxmap__store_socktuple(&auxmap, sendmsg_e, tuple, extract__int_argument(call, 0), SC_OUTBOUND, header.name,
				header.namelen);
	auxmap__submit_event(call, &auxmap, sendmsg_e);
}

SYSCALL_EXIT(sendmsg_x)
{
	struct auxmap auxmap;
	struct sc_msghdr header = messages__header(call);
	u32 size = vector__size(call, header.iov, header.iovlen);

	if (!auxmap__begin(call, &auxmap, sendmsg_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, sendmsg_x, res, call->ret);
	/* Parameter 2: data (type: PT_BYTEBUF) */
	auxmap__store_vector(call, &auxmap, sendmsg_x, data, header.iov, header.iovlen,
			     data__kept(data__sent(call->ret, size)));
	/* Parameter 3: fd (type: PT_FD) */
	auxmap__store(&auxmap, sendmsg_x, fd, extract__int_argument(call, 0));
	/* Parameter 4: size (type: PT_UINT32) */
	auxmap__store(&auxmap, sendmsg_x, size, size);
	/* Parameter 5: tuple (type: PT_SOCKTUPLE) */
	if (call->ret >= 0)
		auxmap__store_socktuple(&auxmap, sendmsg_x, tuple, extract__int_argument(call, 0), SC_OUTBOUND,
					header.name, header.namelen);
	else
		auxmap__store_empty(&auxmap, sendmsg_x, tuple);
	auxmap__submit_event(call, &auxmap, sendmsg_x);
}

SYSCALL_ENTER_FD(recvmsg_e)

SYSCALL_EXIT(recvmsg_x)
{
	struct auxmap auxmap;
	struct sc_msghdr header = {};

	if (!auxmap__begin(call, &auxmap, recvmsg_x))
		return;
	if (call->ret >= 0)
		header = messages__header(call);
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, recvmsg_x, res, call->ret);
	/* Parameter 2: size (type: PT_UINT32) */
	auxmap__store(&auxmap, recvmsg_x, size, data__received(call->ret));
	/* Parameter 3: data (type: PT_BYTEBUF) */
	auxmap__store_vector(call, &auxmap, recvmsg_x, data, header.iov, header.iovlen,
			     data__kept(data__received(call->ret)));
	/* Parameter 4: tuple (type: PT_SOCKTUPLE) */
	if (call->ret >= 0)
		auxmap__store_socktuple(&auxmap, recvmsg_x, tuple, extract__int_argument(call, 0), SC_INBOUND,
					header.name, header.namelen);
	else
		auxmap__store_empty(&auxmap, recvmsg_x, tuple);
	/* Parameter 5: msgcontrol (type: PT_BYTEBUF) */
	auxmap__store_bytebuf(&auxmap, recvmsg_x, msgcontrol, header.control, header.controllen, SC_USER);
	/* Parameter 6: fd (type: PT_FD) */
	auxmap__store(&auxmap, recvmsg_x, fd, extract__int_argument(call, 0));
	auxmap__submit_event(call, &auxmap, recvmsg_x);
}
