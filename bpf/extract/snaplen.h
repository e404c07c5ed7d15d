/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The dynamic snaplen: traffic of some kinds keeps more of its data than the snaplen. The kinds are those that readers of
 * this format know: by the port at either end, and, where the data lies in one piece, by how it begins.
 */
#pragma once

#include "extract/sockets.h"

enum {
	/* What is kept of each kind, in bytes, unless the snaplen is larger. */
	SC_KEPT_FULL = 16000,
	SC_KEPT_MORE = 2000, /* statsd, databases, HTTP */
	SC_KEPT_DNS = 512,

	SC_PORT_DNS = 53,
	SC_PORT_MYSQL = 3306,
	SC_PORT_POSTGRES = 5432,
	SC_PORT_MONGODB = 27017,

	SC_BEGINNING = 16, /* bytes of the data that are looked at */
};

/* The ports of a socket's two ends; 0 where there is none. */
struct ports {
	u16 local;
	u16 remote;
};

/* `address` is one in user memory that the call has, for a socket that is not connected; or 0. */
static __always_inline struct ports snaplen__ports(struct sock *sk, u64 address)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	struct ports ports = {};
	u16 port;

	if (family != SC_AF_INET && family != SC_AF_INET6)
		return ports;
	ports.local = port__to_host(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	/* The port stands at the same place in the addresses of both families. */
	if (!port && address)
		bpf_probe_read_user(&port, sizeof(port),
				    (const void *)(address + __builtin_offsetof(struct sc_sockaddr_in, port)));
	ports.remote = port__to_host(port);
	return ports;
}

static __always_inline bool snaplen__is_at(struct ports ports, u16 port)
{
	return ports.local == port || ports.remote == port;
}

/* What is kept for the ports alone; 0 if they say nothing. */
static __always_inline u32 snaplen__by_port(struct ports ports)
{
	u32 range = sc_settings.full_capture_ports;
	u16 first = range, last = range >> 16;

	if (last && ((ports.local >= first && ports.local <= last) || (ports.remote >= first && ports.remote <= last)))
		return SC_KEPT_FULL;
	if (ports.remote && ports.remote == sc_settings.statsd_port)
		return SC_KEPT_MORE;
	return ports.remote == SC_PORT_DNS ? SC_KEPT_DNS : 0;
}

/* What data begins with; zeros behind its end. */
union beginning {
	u8 bytes[2 * SC_BEGINNING];
	u32 words[SC_BEGINNING / 2];
};

static __always_inline bool snaplen__is_mysql(const union beginning *data)
{
	const u8 *b = data->bytes, query = 3;

	return b[0] == query || b[1] == query || b[2] == query || b[3] == query || b[4] == query ||
	       (b[2] == 0 && b[3] == 0);
}

/* A query, a statement to prepare, an error or a statement to execute; or the start of a session, protocol 3.0. */
static __always_inline bool snaplen__is_postgres(const union beginning *data)
{
	const u8 *b = data->bytes;

	return ((b[0] == 'Q' || b[0] == 'P' || b[0] == 'E') && b[1] == 0) || (b[4] == 0 && b[5] == 3 && b[6] == 0);
}

/* By the operation in a message's header. */
static __always_inline bool snaplen__is_mongodb(const union beginning *data)
{
	const u32 op_reply = 1, op_first = 2001, op_last = 2007;
	u32 operation = data->words[3];

	return operation == op_reply || (operation >= op_first && operation <= op_last);
}

/* Four characters as they lie in memory. */
#define SC_FOUR(a, b, c, d) ((a) | (b) << 8 | (c) << 16 | (u32)(d) << 24)

static __always_inline bool snaplen__is_http(const union beginning *data)
{
	switch (data->words[0]) {
	case SC_FOUR('G', 'E', 'T', ' '):
	case SC_FOUR('P', 'O', 'S', 'T'):
	case SC_FOUR('P', 'U', 'T', ' '):
	case SC_FOUR('D', 'E', 'L', 'E'):
	case SC_FOUR('T', 'R', 'A', 'C'):
	case SC_FOUR('C', 'O', 'N', 'N'):
	case SC_FOUR('O', 'P', 'T', 'I'):
		return true;
	case SC_FOUR('H', 'T', 'T', 'P'):
		return data->bytes[4] == '/';
	default:
		return false;
	}
}

/* Whether data that begins so is of a kind that keeps more. A port decides alone what its data can be. */
static __always_inline bool snaplen__is_known(struct ports ports, const union beginning *data, u64 length)
{
	if (snaplen__is_at(ports, SC_PORT_MYSQL) && length >= 5)
		return snaplen__is_mysql(data);
	if (snaplen__is_at(ports, SC_PORT_POSTGRES) && length >= 7)
		return snaplen__is_postgres(data);
	if (snaplen__is_at(ports, SC_PORT_MONGODB) || (length >= SC_BEGINNING && snaplen__is_mongodb(data)))
		return true;
	return length >= 5 && snaplen__is_http(data);
}

/*
 * How many bytes of data through `fd` are kept at most, if that is more than the snaplen; 0 if it is not. `start` is where
 * the data lies in user memory, 0 if it is in several pieces. A function of its own, for the verifier to go through once.
 */
__noinline u32 snaplen__extended(s64 fd, u64 address, u64 start, u64 length)
{
	union beginning data = {};
	struct sock *sk = extract__sock(fd);
	struct ports ports;
	u64 size;
	u32 kept;

	if (!sk)
		return 0;
	ports = snaplen__ports(sk, address);
	kept = snaplen__by_port(ports);
	if (kept || !start)
		return kept;
	size = SC_BOUND(length < SC_BEGINNING ? length : SC_BEGINNING, sizeof(data));
	if (bpf_probe_read_user(&data, size, (const void *)start))
		return 0;
	return snaplen__is_known(ports, &data, length) ? SC_KEPT_MORE : 0;
}
