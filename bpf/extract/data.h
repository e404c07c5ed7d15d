/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The data that calls read and write: how much an event keeps, and how to gather it from iovecs. */
#pragma once

#include "extract/snaplen.h"
#include "template/auxmap.h"
#include "user_types.h"

enum {
	/* More would make the event too large for its block, whatever the snaplen; 1 KiB is for other parameters. */
	SC_MAX_DATA = SC_MAX_EVENT - 1024,
	/* Maximum iovecs to gather data from: each costs a read of user memory. */
	SC_GATHERED_IOVECS = 32,
	SC_GATHERED_SOME = 8, /* at a time */
};

/* Returns `length` cut to a limit from the settings. */
static __always_inline u64 data__cut(u64 length, u64 limit)
{
	if (limit > SC_MAX_DATA)
		limit = SC_MAX_DATA;
	return length < limit ? length : limit;
}

/* Returns how many of `length` bytes an event keeps. */
static __always_inline u64 data__kept(u64 length)
{
	return data__cut(length, snaplen__plain());
}

/*
 * The same for data that may go through a socket. Asks snaplen__extended only if the snaplen is dynamic and would cut
 * the data.
 */
#define data__kept_of(length, fd, address, start)                                               \
	({                                                                                      \
		u64 length_ = (length), limit_ = snaplen__plain();                              \
                                                                                                \
		if (sc_settings.dynamic_snaplen && length_ > limit_ && !sc_constants.no_data) { \
			u64 more_ = snaplen__extended(fd, address, start, length_);             \
                                                                                                \
			limit_ = more_ > limit_ ? more_ : limit_;                               \
		}                                                                               \
		data__cut(length_, limit_);                                                     \
	})

/* Returns how many bytes a call received: 0 if it failed. */
static __always_inline u64 data__received(s64 ret)
{
	return ret > 0 ? ret : 0;
}

/* Returns how many bytes a call sent or, if none, how many it tried to send. */
static __always_inline u64 data__sent(s64 ret, u64 size)
{
	return ret > 0 ? (u64)ret : size;
}

/*
 * Returns an offset: argument n of a 64-bit caller, arguments n (low half) and n + 1 of a 32-bit one. The high half
 * that a 64-bit caller passes to preadv and pwritev has no effect.
 */
static __always_inline u64 extract__offset(const struct sc_call *call, int n)
{
	u64 low = extract__syscall_argument(call, n);

	return call->compat ? low | extract__syscall_argument(call, n + 1) << 32 : low;
}

/* ----------------------------------------------------------------- iovecs */

/*
 * The verifier follows each exit of the loops below. They mask numbers that differ between exits to the same range, so
 * that the verifier recognizes a state it has already checked.
 */

/*
 * Returns whether iovec i exists. The mask hides the count from clang, which would compare with != and leave the loop
 * unbounded for the verifier, and hides the comparison's result from the verifier.
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

/* Adds sizes, saturating at 32 bits. No branch: the verifier would follow both sides in every iteration. */
static __always_inline u32 vector__add(u64 size, u64 length)
{
	u64 sum = size + length;
	u64 beyond = (sum | length) >> 32;

	asm volatile("" : "+r"(beyond));
	sum |= (u64)((s64)(beyond | -beyond) >> 63);
	asm volatile("%0 <<= 32; %0 >>= 32" : "+r"(sum));
	return sum;
}

/* How many iovecs are summed at a time, and the bit that says that no others follow. */
#define SC_IOV_STEP 32
#define SC_IOV_END (1ul << 32)

/*
 * Returns the total size of SC_IOV_STEP iovecs from `first` on, before the first unreadable one, at most 4 GiB - 1; with
 * SC_IOV_END if that or the last one is among them. Global functions, here and below, so that the verifier checks each loop
 * once, and not once for each path to and from it.
 */
__noinline u64 vector__sum_some(u64 pointer, u64 count, u32 compat, u32 first)
{
	struct sc_iovec iovec;
	u64 size = 0;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_IOV_STEP; i++) {
		if (!vector__has(count, first + i) || !vector__get(compat, pointer, first + i, &iovec))
			return size | SC_IOV_END;
		size = vector__add(size, iovec.len);
	}
	return size;
}

/* Returns the total size of the iovecs before the first unreadable one, at most 4 GiB - 1; 0 if there are too many. */
__noinline u32 vector__sum(u64 pointer, u64 count, u32 compat)
{
	u64 size = 0, some;

#pragma clang loop unroll(disable)
	for (u32 first = 0; first < SC_IOV_MAX; first += SC_IOV_STEP) {
		some = vector__sum_some(pointer, count, compat, first);
		size = vector__add(size, (u32)some);
		if (some & SC_IOV_END)
			break;
	}
	return size;
}

static __always_inline u32 vector__size(const struct sc_call *call, u64 pointer, u64 count)
{
	return vector__sum(pointer, count, call->compat);
}

/* A 32-bit caller, beside the way of a run. */
#define SC_WAY_COMPAT 4

/*
 * Writes up to `limit` bytes of the data of the first SC_GATHERED_SOME of `count` iovecs at this offset of the scratch area of `way`;
 * with SC_WAY_COMPAT for those of a 32-bit caller. Returns how many it could read; with SC_IOV_END if none are to be read any
 * more.
 */
__noinline u64 vector__gather_some(u64 pointer, u64 count, u64 limit, u32 at, u32 way)
{
	struct auxmap auxmap = {};
	struct sc_iovec iovec;
	u64 kept = 0, bytes;

	if (!auxmap__find(&auxmap, way))
		return SC_IOV_END;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_GATHERED_SOME; i++) {
		if (kept >= limit || i >= count || !vector__get(way & SC_WAY_COMPAT, pointer, i, &iovec))
			return kept | SC_IOV_END;
		bytes = iovec.len < limit - kept ? iovec.len : limit - kept;
		bytes = SC_BOUND(bytes, SC_SCRATCH_HALF);
		if (bpf_probe_read_user(auxmap__at(&auxmap, at + kept), bytes, (void *)iovec.base))
			return kept | SC_IOV_END;
		kept = SC_BOUND(kept + bytes, SC_SCRATCH_HALF);
	}
	return kept;
}

/* Writes up to `limit` bytes of the iovecs' data at the tail. Returns how many it could read. */
static __always_inline u16 vector__gather(bool compat, const struct auxmap *auxmap, u64 pointer, u64 count, u64 limit)
{
	const u32 way = auxmap->way | (compat ? SC_WAY_COMPAT : 0);
	const u64 size = compat ? sizeof(struct sc_iovec32) : sizeof(struct sc_iovec);
	u32 kept = 0;
	u64 some;

	if (count > SC_IOV_MAX)
		return 0;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_GATHERED_IOVECS; i += SC_GATHERED_SOME) {
		some = vector__gather_some(pointer + i * size, count - i, limit - kept, auxmap->pos + kept, way);
		kept += (u32)some;
		if (some & SC_IOV_END)
			break;
	}
	return kept;
}

/* Stores up to `limit` bytes from iovecs. */
#define auxmap__store_vector(call, auxmap, program, param, pointer, count, limit)                \
	do {                                                                                     \
		SC_REQUIRE(SC_IS_BYTEBUF(program, param), "not bytes in its row of events.def"); \
		auxmap__push(auxmap, SC_INDEX(program, param),                                   \
			     vector__gather((call)->compat, auxmap, pointer, count, limit));     \
	} while (0)
