/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The data that calls read and write: how much of it an event keeps, and gathering it from iovecs. */
#pragma once

#include "template/auxmap.h"
#include "user_types.h"

enum {
	/* Data beyond this would make the event too large for its block, whatever the snaplen; 1 KiB is for the rest. */
	SC_MAX_DATA = SC_MAX_EVENT - 1024,
	/* Data is gathered from this many iovecs at most: each costs a read of user memory. */
	SC_GATHERED_IOVECS = 32,
};

/* How many of `available` bytes an event keeps. */
static __always_inline u64 data__kept(u64 available)
{
	u64 limit = sc_settings.snaplen;

	if (limit > SC_MAX_DATA)
		limit = SC_MAX_DATA;
	return available < limit ? available : limit;
}

/* How many bytes of data were received: none by a call that failed. */
static __always_inline u64 data__received(s64 ret)
{
	return ret > 0 ? ret : 0;
}

/* How many bytes of data were sent; of a call that sent nothing, how many it was to send. */
static __always_inline u64 data__sent(s64 ret, u64 size)
{
	return ret > 0 ? (u64)ret : size;
}

/*
 * An offset that a 64-bit caller passes in argument n, a 32-bit one in arguments n (its low half) and n + 1. The high
 * half that preadv and pwritev take from a 64-bit caller too is without effect.
 */
static __always_inline u64 extract__offset(const struct sc_call *call, int n)
{
	u64 low = extract__syscall_argument(call, n);

	return call->compat ? low | extract__syscall_argument(call, n + 1) << 32 : low;
}

/* ----------------------------------------------------------------- iovecs */

/* What a call's iovecs hold. */
struct vector {
	u64 size; /* of all of them, in bytes */
	u64 kept; /* how many bytes were gathered */
};

/*
 * Whether iovec i is there. The count is hidden from clang: it would count the loop up to the smaller of both limits
 * by !=, where the verifier sees no end.
 */
static __always_inline bool vector__has(u64 count, u32 i)
{
	asm volatile("" : "+r"(count));
	return i < count;
}

static __always_inline bool vector__get(const struct sc_call *call, u64 pointer, u32 i, struct sc_iovec *iovec)
{
	if (call->compat) {
		struct sc_iovec32 iovec32;

		if (bpf_probe_read_user(&iovec32, sizeof(iovec32), (void *)(pointer + i * sizeof(iovec32))))
			return false;
		iovec->base = iovec32.base;
		iovec->len = iovec32.len;
		return true;
	}
	return !bpf_probe_read_user(iovec, sizeof(*iovec), (void *)(pointer + i * sizeof(*iovec)));
}

/*
 * Goes over the first `max` iovecs, until one cannot be read. Gathers up to `limit` bytes of what they point to at the
 * tail; `max` is a constant.
 */
static __always_inline struct vector vector__read(const struct sc_call *call, const struct auxmap *auxmap, u64 pointer,
						  u64 count, u32 max, u64 limit)
{
	struct vector vector = {};
	struct sc_iovec iovec;
	u64 left, bytes;
	u32 i;

	if (count > SC_IOV_MAX)
		return vector;
#pragma clang loop unroll(disable)
	for (i = 0; i < max; i++) {
		if (!vector__has(count, i) || !vector__get(call, pointer, i, &iovec))
			break;
		vector.size += iovec.len;
		if (i >= SC_GATHERED_IOVECS || vector.kept >= limit)
			continue;
		left = limit - vector.kept;
		bytes = SC_BOUND(iovec.len < left ? iovec.len : left, SC_SCRATCH_HALF);
		if (bpf_probe_read_user(auxmap->data + SC_BOUND(auxmap->pos + vector.kept, SC_SCRATCH_HALF), bytes,
					(void *)iovec.base))
			limit = 0;
		else
			vector.kept += bytes;
	}
	return vector;
}

/* The size of all iovecs together. */
static __always_inline u64 vector__size(const struct sc_call *call, u64 pointer, u64 count)
{
	return vector__read(call, NULL, pointer, count, SC_IOV_MAX, 0).size;
}

/* Gathers what a call received at the tail. The size is that of the iovecs gone over, not of all. */
static __always_inline struct vector vector__received(const struct sc_call *call, const struct auxmap *auxmap,
						      u64 pointer, u64 count)
{
	return vector__read(call, auxmap, pointer, count, SC_GATHERED_IOVECS, data__kept(data__received(call->ret)));
}

/* Gathers what a call sent, or was to send, at the tail. */
static __always_inline struct vector vector__sent(const struct sc_call *call, const struct auxmap *auxmap, u64 pointer,
						  u64 count)
{
	return vector__read(call, auxmap, pointer, count, SC_IOV_MAX, data__kept(data__sent(call->ret, SC_MAX_DATA)));
}

/* The bytes that one of the functions above has just gathered. */
#define auxmap__store_vector(auxmap, program, param, vector)                                     \
	do {                                                                                     \
		SC_REQUIRE(SC_IS_BYTEBUF(program, param), "not bytes in its row of events.def"); \
		auxmap__push(auxmap, SC_INDEX(program, param), (vector).kept);                   \
	} while (0)
