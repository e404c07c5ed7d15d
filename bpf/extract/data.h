/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The data that calls read and write: how much of it an event keeps, and gathering it from iovecs. */
#pragma once

#include "extract/snaplen.h"
#include "template/auxmap.h"
#include "user_types.h"

enum {
	/* More data would make the event too large for its block, whatever the snaplen; 1 KiB is for the rest. */
	SC_MAX_DATA = SC_MAX_EVENT - 1024,
	/* Data is gathered from this many iovecs at most: each costs a read of user memory. */
	SC_GATHERED_IOVECS = 32,
};

/* `length` bytes, cut to a limit that a setting gave. */
static __always_inline u64 data__cut(u64 length, u64 limit)
{
	if (limit > SC_MAX_DATA)
		limit = SC_MAX_DATA;
	return length < limit ? length : limit;
}

/* How many of `length` bytes an event keeps. */
static __always_inline u64 data__kept(u64 length)
{
	return data__cut(length, sc_settings.snaplen);
}

/*
 * The same of data that may go through a socket: the rest as for snaplen__extended, and only looked at if the data would be
 * cut, and the snaplen is dynamic.
 */
#define data__kept_of(length, fd, address, start)                                   \
	({                                                                          \
		u64 length_ = (length), limit_ = sc_settings.snaplen;               \
                                                                                    \
		if (sc_settings.dynamic_snaplen && length_ > limit_) {              \
			u64 more_ = snaplen__extended(fd, address, start, length_); \
                                                                                    \
			limit_ = more_ > limit_ ? more_ : limit_;                   \
		}                                                                   \
		data__cut(length_, limit_);                                         \
	})

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

/*
 * The loops below are made for the verifier, which follows each way out of them: a number that differs from way to way
 * is masked to one and the same range, so that it sees that it has been there before.
 */

/*
 * Whether iovec i is there. The mask also hides the count from clang (it would end the loop by !=, where the verifier
 * sees no end), and what the comparison tells of it from the verifier.
 */
static __always_inline bool vector__has(u64 count, u32 i)
{
	return count <= SC_IOV_MAX && i < SC_BOUND(count, 2 * SC_IOV_MAX);
}

static __always_inline bool vector__get(bool compat, u64 pointer, u32 i, struct sc_iovec *iovec)
{
	if (compat) {
		struct sc_iovec32 iovec32;

		if (bpf_probe_read_user(&iovec32, sizeof(iovec32), (void *)(pointer + i * sizeof(iovec32))))
			return false;
		iovec->base = iovec32.base;
		iovec->len = iovec32.len;
		return true;
	}
	return !bpf_probe_read_user(iovec, sizeof(*iovec), (void *)(pointer + i * sizeof(*iovec)));
}

/* A sum of sizes, at most what 32 bits hold. Without a branch: the verifier would go both ways in each turn of a loop. */
static __always_inline u32 vector__add(u64 size, u64 length)
{
	u64 sum = size + length;
	u64 beyond = (sum | length) >> 32;

	asm volatile("" : "+r"(beyond));
	sum |= (u64)((s64)(beyond | -beyond) >> 63);
	asm volatile("%0 <<= 32; %0 >>= 32" : "+r"(sum));
	return sum;
}

/*
 * The size of all iovecs together, at most 4 GiB - 1, those behind one that cannot be read left out; 0 if there are too
 * many. A global function: the verifier goes through its loop once, and not once for each way that leads to it or from
 * it.
 */
__noinline u32 vector__sum(u64 pointer, u64 count, u32 compat)
{
	struct sc_iovec iovec;
	u64 size = 0;
	u32 i;

#pragma clang loop unroll(disable)
	for (i = 0; i < SC_IOV_MAX; i++) {
		if (!vector__has(count, i) || !vector__get(compat, pointer, i, &iovec))
			break;
		size = vector__add(size, iovec.len);
	}
	return size;
}

static __always_inline u32 vector__size(const struct sc_call *call, u64 pointer, u64 count)
{
	return vector__sum(pointer, count, call->compat);
}

/* Writes up to `limit` bytes of what the iovecs point to at the tail: returns how many could be read. */
static __always_inline u16 vector__gather(const struct sc_call *call, const struct auxmap *auxmap, u64 pointer,
					  u64 count, u64 limit)
{
	struct sc_iovec iovec;
	u64 kept = 0, bytes;
	u32 i;

#pragma clang loop unroll(disable)
	for (i = 0; i < SC_GATHERED_IOVECS; i++) {
		if (kept >= limit || !vector__has(count, i) || !vector__get(call->compat, pointer, i, &iovec))
			break;
		bytes = iovec.len < limit - kept ? iovec.len : limit - kept;
		bytes = SC_BOUND(bytes, SC_SCRATCH_HALF);
		if (bpf_probe_read_user(auxmap->data + SC_BOUND(auxmap->pos + kept, SC_SCRATCH_HALF), bytes,
					(void *)iovec.base))
			break;
		kept = SC_BOUND(kept + bytes, SC_SCRATCH_HALF);
	}
	return kept;
}

/* Up to `limit` bytes from iovecs. */
#define auxmap__store_vector(call, auxmap, program, param, pointer, count, limit)                                    \
	do {                                                                                                         \
		SC_REQUIRE(SC_IS_BYTEBUF(program, param), "not bytes in its row of events.def");                     \
		auxmap__push(auxmap, SC_INDEX(program, param), vector__gather(call, auxmap, pointer, count, limit)); \
	} while (0)
