/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Socket options: levels, names and values in the .scap format's encoding. */
#pragma once

#include "extract/data.h"

enum {
	SC_SOL_SOCKET = 1,
	SC_SOL_TCP = 6,
	/* Up to here the format uses the kernel's numbers. */
	SC_SO_SAME_MAX = PPM_sockopt_options__SO_ATTACH_BPF,
	SC_SO_MEMINFO = 55,
	SC_SO_COOKIE = 57,
	SC_SO_PEERGROUPS = 59,
	/* Options with a second number for 64-bit times; the format has one number for both. */
	SC_SO_TIMESTAMP_NEW = 63,
	SC_SO_TIMESTAMPNS_NEW = 64,
	SC_SO_TIMESTAMPING_NEW = 65,
	SC_SO_RCVTIMEO_NEW = 66,
	SC_SO_SNDTIMEO_NEW = 67,
};

#define SC_OPTION(name) (1ULL << PPM_sockopt_options__SO_##name)

/* SOL_SOCKET options whose value is an int. */
static const u64 sockopt__ints =
	SC_OPTION(DEBUG) | SC_OPTION(REUSEADDR) | SC_OPTION(TYPE) | SC_OPTION(DONTROUTE) | SC_OPTION(BROADCAST) |
	SC_OPTION(SNDBUF) | SC_OPTION(RCVBUF) | SC_OPTION(SNDBUFFORCE) | SC_OPTION(RCVBUFFORCE) | SC_OPTION(KEEPALIVE) |
	SC_OPTION(OOBINLINE) | SC_OPTION(NO_CHECK) | SC_OPTION(PRIORITY) | SC_OPTION(BSDCOMPAT) | SC_OPTION(REUSEPORT) |
	SC_OPTION(PASSCRED) | SC_OPTION(RCVLOWAT) | SC_OPTION(SNDLOWAT) | SC_OPTION(SECURITY_AUTHENTICATION) |
	SC_OPTION(SECURITY_ENCRYPTION_TRANSPORT) | SC_OPTION(SECURITY_ENCRYPTION_NETWORK) | SC_OPTION(DETACH_FILTER) |
	SC_OPTION(TIMESTAMP) | SC_OPTION(ACCEPTCONN) | SC_OPTION(PASSSEC) | SC_OPTION(TIMESTAMPNS) | SC_OPTION(MARK) |
	SC_OPTION(TIMESTAMPING) | SC_OPTION(PROTOCOL) | SC_OPTION(DOMAIN) | SC_OPTION(RXQ_OVFL) |
	SC_OPTION(WIFI_STATUS) | SC_OPTION(PEEK_OFF) | SC_OPTION(NOFCS) | SC_OPTION(LOCK_FILTER) |
	SC_OPTION(SELECT_ERR_QUEUE) | SC_OPTION(BUSY_POLL) | SC_OPTION(MAX_PACING_RATE) | SC_OPTION(BPF_EXTENSIONS) |
	SC_OPTION(INCOMING_CPU);

static __always_inline u8 sockopt_level_to_scap(s32 level)
{
	if (level == SC_SOL_SOCKET)
		return PPM_sockopt_levels__SOL_SOCKET;
	return level == SC_SOL_TCP ? PPM_sockopt_levels__SOL_TCP : PPM_sockopt_levels__UNKNOWN;
}

/* Translates an option; the format names only those of SOL_SOCKET. */
static __always_inline u8 sockopt_optname_to_scap(s32 level, s32 option)
{
	if (level != SC_SOL_SOCKET)
		return PPM_sockopt_options__UNKNOWN;
	if (option >= PPM_sockopt_options__SO_DEBUG && option <= SC_SO_SAME_MAX)
		return option;
	if (option == SC_SO_MEMINFO)
		return PPM_sockopt_options__SO_MEMINFO;
	if (option == SC_SO_COOKIE)
		return PPM_sockopt_options__SO_COOKIE;
	if (option == SC_SO_PEERGROUPS)
		return PPM_sockopt_options__SO_PEERGROUPS;
	if (option == SC_SO_TIMESTAMP_NEW)
		return PPM_sockopt_options__SO_TIMESTAMP;
	if (option == SC_SO_TIMESTAMPNS_NEW)
		return PPM_sockopt_options__SO_TIMESTAMPNS;
	if (option == SC_SO_TIMESTAMPING_NEW)
		return PPM_sockopt_options__SO_TIMESTAMPING;
	if (option == SC_SO_RCVTIMEO_NEW)
		return PPM_sockopt_options__SO_RCVTIMEO;
	if (option == SC_SO_SNDTIMEO_NEW)
		return PPM_sockopt_options__SO_SNDTIMEO;
	return PPM_sockopt_options__UNKNOWN;
}

/* Reads a timeval of `size` bytes, in ns. Returns false if it cannot be read. */
static __always_inline bool sockopt__read_time(const void *pointer, u64 size, u64 *ns)
{
	struct sc_timeval time = {};
	struct sc_timeval32 time32;

	if (size == sizeof(time)) {
		if (bpf_probe_read_user(&time, sizeof(time), pointer))
			return false;
	} else {
		if (bpf_probe_read_user(&time32, sizeof(time32), pointer))
			return false;
		time.sec = time32.sec;
		time.usec = time32.usec;
	}
	*ns = (u64)time.sec * 1000000000 + (u64)time.usec * 1000;
	return true;
}

/*
 * Writes the index of a value's type and the value at the tail. Returns the length of both. A value that is too short
 * for its type, or unreadable, becomes bytes.
 */
static __always_inline u16 sockopt__write(const struct sc_call *call, const struct auxmap *auxmap, s32 level,
					  s32 option, const void *pointer, u32 len)
{
	u8 *tail = auxmap->data + SC_BOUND(auxmap->pos, SC_SCRATCH_HALF);
	u8 name = sockopt_optname_to_scap(level, option);
	bool is_new = option == SC_SO_RCVTIMEO_NEW || option == SC_SO_SNDTIMEO_NEW;
	u64 time_size = call->compat && !is_new ? sizeof(struct sc_timeval32) : sizeof(struct sc_timeval);
	u64 bytes = sc_constants.no_data ? 0 : len < SC_MAX_DATA ? len : SC_MAX_DATA;
	u64 value64 = 0;
	u32 value = 0;

	if (name == PPM_sockopt_options__SO_ERROR && len >= sizeof(value) &&
	    !bpf_probe_read_user(&value, sizeof(value), pointer)) {
		tail[0] = PPM_sockopt_dynamic_param__ERRNO;
		*(s64 *)(tail + 1) = -(s64)(s32)value;
		return 1 + sizeof(s64);
	}
	if ((name == PPM_sockopt_options__SO_RCVTIMEO || name == PPM_sockopt_options__SO_SNDTIMEO) &&
	    len >= time_size && sockopt__read_time(pointer, time_size, &value64)) {
		tail[0] = PPM_sockopt_dynamic_param__RELTIME;
		*(u64 *)(tail + 1) = value64;
		return 1 + sizeof(u64);
	}
	if (name == PPM_sockopt_options__SO_COOKIE && len >= sizeof(value64) &&
	    !bpf_probe_read_user(&value64, sizeof(value64), pointer)) {
		tail[0] = PPM_sockopt_dynamic_param__UINT64;
		*(u64 *)(tail + 1) = value64;
		return 1 + sizeof(u64);
	}
	if ((sockopt__ints >> (name & 63) & 1) && len >= sizeof(value) &&
	    !bpf_probe_read_user(&value, sizeof(value), pointer)) {
		tail[0] = PPM_sockopt_dynamic_param__UINT32;
		*(u32 *)(tail + 1) = value;
		return 1 + sizeof(u32);
	}
	tail[0] = PPM_sockopt_dynamic_param__BYTEBUF;
	bytes = SC_BOUND(bytes, SC_SCRATCH_HALF);
	return 1 + (bpf_probe_read_user(tail + 1, bytes, pointer) ? 0 : bytes);
}

/* Stores the value of an option from user memory. */
#define auxmap__store_sockopt(call, auxmap, program, param, level, option, pointer, len)                        \
	do {                                                                                                    \
		SC_REQUIRE(SC_HAS_TYPE(program, param, DYN), "not of a dynamic type in its row of events.def"); \
		auxmap__push(auxmap, SC_INDEX(program, param),                                                  \
			     sockopt__write(call, auxmap, level, option, (const void *)(pointer), len));        \
	} while (0)
