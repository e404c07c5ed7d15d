/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The dynamic snaplen: some protocols keep more data than the snaplen. They are those that readers of this format
 * decode, recognized by either port and, if the data is contiguous, by its first bytes.
 */
#pragma once

#include "extract/sockets.h"

enum {
	/* Bytes kept per protocol, unless the snaplen is larger. */
	SC_KEPT_FULL = 16000,
	SC_KEPT_MORE = 2000, /* statsd, databases, HTTP */
	SC_KEPT_DNS = 512,

	SC_PORT_DNS = 53,
	SC_PORT_MYSQL = 3306,
	SC_PORT_POSTGRES = 5432,
	SC_PORT_MONGODB = 27017,

	SC_BEGINNING = 16, /* bytes of the data to inspect */
};

/* Returns the maximum bytes of data per event. */
static __always_inline u32 snaplen__plain(void)
{
	return sc_constants.no_data ? 0 : sc_settings.snaplen;
}

/* The ports of a socket's two ends; 0 for none. */
struct ports {
	u16 local;
	u16 remote;
};

/* Returns a socket's ports. `address` is the call's address argument, for an unconnected socket; or 0. */
static __always_inline struct ports snaplen__ports(struct sock *sk, u64 address)
{
	u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	struct ports ports = {};
	u16 port;

	if (family != SC_AF_INET && family != SC_AF_INET6)
		return ports;
	ports.local = port__to_host(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	port = BPF_CORE_READ(sk, __sk_common.skc_dport);
	/* The port is at the same offset in both families' addresses. */
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

/* Returns how many bytes to keep by the ports alone; 0 if the data decides. */
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

/* The first bytes of the data, padded with zeros. */
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

/* Matches a query, a Parse, Execute or error message, or the startup message of protocol 3.0. */
static __always_inline bool snaplen__is_postgres(const union beginning *data)
{
	const u8 *b = data->bytes;

	return ((b[0] == 'Q' || b[0] == 'P' || b[0] == 'E') && b[1] == 0) || (b[4] == 0 && b[5] == 3 && b[6] == 0);
}

/* Matches the opcode in the message header. */
static __always_inline bool snaplen__is_mongodb(const union beginning *data)
{
	const u32 op_reply = 1, op_first = 2001, op_last = 2007;
	u32 operation = data->words[3];

	return operation == op_reply || (operation >= op_first && operation <= op_last);
}

/* Four characters as a little-endian word. */
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

/* Returns whether the data's protocol keeps more. A MySQL or PostgreSQL port rules out other protocols. */
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
 * Returns the extended snaplen of data through `fd`, in bytes; 0 if there is none. `start` is the data's address in
 * user memory, 0 if it is not contiguous. A global function, so that the verifier checks it once.
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
