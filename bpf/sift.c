/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The part of a filter that the arguments of a call decide. A program that has assembled an event of which the filter tests an
 * argument calls one of these, instead of copying it into a ring itself: most of those events need no room there. They leave
 * out only what the whole filter refuses, whatever else it says; the recorder decides the rest.
 */
#include "rules.h"
#include "sieve.h"
#include "template/auxmap.h"

/* A byte in each place of a word, and all but the highest bit of each. */
#define SIFT__EACH(byte) (0x0101010101010101ull * (byte))
#define SIFT__LOW SIFT__EACH(0x7f)

/* Returns the highest bit of each byte of a word that is this one. */
static __always_inline u64 sift__are(u64 word, u8 byte)
{
	word ^= SIFT__EACH(byte);
	return ~(((word & SIFT__LOW) + SIFT__LOW) | word | SIFT__LOW);
}

enum {
	/* The bits of a text and its space: what a key is compared by. */
	SC_TEXT_BITS = 8 * (1 + SC_TEXT),
	/* The bytes of a path that are looked through at a time. */
	SC_PLAIN_SOME = 64,
	/* No number of bits is negative. */
	SC_MAY_PASS = -1,
};

static __always_inline u64 sift__word(const u8 *data, u32 offset)
{
	return *(const u64 *)(data + SC_BOUND(offset, SC_SCRATCH_HALF));
}

/* Returns the scratch area of an entry's or a return's program; NULL if the CPU is unknown. */
static __always_inline u8 *sift__scratch(u32 way)
{
	u32 cpu_id = bpf_get_smp_processor_id();
	struct sc_cpu *cpu = bpf_map_lookup_elem(&cpus, &cpu_id);

	return cpu ? cpu->scratch[way & 1] : NULL;
}

/* What a part of a path says of all of it. */
enum sift_plain {
	SIFT_GOES_ON,
	SIFT_PLAIN,
	SIFT_NOT_PLAIN,
};

/*
 * Looks at SC_PLAIN_SOME bytes at `offset` of the scratch area of `way`, within a path. Global functions, here and below, so that
 * the verifier goes through each once.
 */
__noinline u32 sift__plain_some(u32 way, u32 offset)
{
	u8 *data = sift__scratch(way);

	if (!data)
		return SIFT_NOT_PLAIN;
	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_PLAIN_SOME; i += sizeof(u64))
	{
		u64 here = sift__word(data, offset + i);
		u64 next = sift__word(data, offset + i + 1);
		u64 end = sift__are(here, 0);
		/* What stands behind the string counts for nothing. */
		u64 inside = end ? (end & -end) - 1 : ~0ull;
		u64 slash = sift__are(here, '/') & inside;
		u64 stops = sift__are(next, '/') | sift__are(next, 0);
		u64 dots = sift__are(next, '.');

		if (slash & dots) {
			u64 third = sift__word(data, offset + i + 2);

			stops |= dots & (sift__are(third, '/') | sift__are(third, 0) | sift__are(third, '.'));
		}
		if (slash & stops)
			return SIFT_NOT_PLAIN;
		if (end)
			return SIFT_PLAIN;
	}
	return SIFT_GOES_ON;
}

/*
 * Returns whether the path at `offset` of the scratch area of `way` is what readers show: from the root, without a component that
 * is empty, '.' or '..', and no longer than SC_PLAIN. A component that begins with two dots counts as one of those.
 */
static __always_inline bool sift__is_plain(const u8 *data, u32 way, u32 offset)
{
	u32 plain;

	if (data[SC_BOUND(offset, SC_SCRATCH_HALF)] != '/')
		return false;
	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_PLAIN; i += SC_PLAIN_SOME)
	{
		plain = sift__plain_some(way, offset + i);
		if (plain != SIFT_GOES_ON)
			return plain == SIFT_PLAIN;
	}
	return false;
}

/* Returns the bits of the tests that the text at `offset` of a scratch area passes: its key is where the text is. */
static __always_inline u32 sift__start_passes(u8 *data, u32 offset, u32 space)
{
	/* What stands in front of it has to come back. */
	u64 *front = (u64 *)(data + SC_BOUND(offset - sizeof(u64), SC_SCRATCH_HALF));
	const u32 head = sizeof(((struct sc_text *)0)->bits) + sizeof(((struct sc_text *)0)->space);
	u8 *key = (u8 *)front + sizeof(u64) - head;
	u64 kept = *front;
	u32 *bits;

	*(u32 *)key = SC_TEXT_BITS;
	key[sizeof(u32)] = space;
	bits = bpf_map_lookup_elem(&texts, key);
	*front = kept;
	return bits ? *bits : 0;
}

/* The same of a text of `length` bytes, its NUL included, that is compared backwards. */
static __always_inline u32 sift__end_passes(const u8 *data, u32 offset, u32 length, u32 space)
{
	struct sc_text key = { .bits = SC_TEXT_BITS, .space = space };
	u32 *bits;

	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_TEXT; i++)
	{
		/* Without the NUL. */
		if (i + 1 >= length)
			break;
		key.text[i] = data[SC_BOUND(offset + length - 2 - i, SC_SCRATCH_HALF)];
	}
	bits = bpf_map_lookup_elem(&texts, &key);
	return bits ? *bits : 0;
}

/*
 * Returns the bits of the tests that the text of `length` bytes passes, its NUL included, at `offset` of the scratch area of
 * `way`; SC_MAY_PASS if it may be another text for readers. `space` is that of the texts.
 */
__noinline int text__passes(u32 way, u32 offset, u32 length, u32 space, u32 is_path)
{
	u8 *data = sift__scratch(way);

	if (!data)
		return SC_MAY_PASS;
	/* What does not end with a NUL is no string. */
	if (data[SC_BOUND(offset + length - 1, SC_SCRATCH_HALF)])
		return SC_MAY_PASS;
	if (is_path && !sift__is_plain(data, way, offset))
		return SC_MAY_PASS;
	return space & 2 ? sift__end_passes(data, offset, length, space) : sift__start_passes(data, offset, space);
}

/*
 * Returns where a parameter is of the event that starts at `start` of the record in the scratch area of `way`: its offset, and its
 * length in the high half; 0 if it is not there. `size` is that of the record.
 */
__noinline u64 sift__param(u32 way, u32 start, u32 index, u32 size)
{
	u8 *data = sift__scratch(way);
	u32 count, offset;

	if (!data || start >= size)
		return 0;
	count = *(const u32 *)SC_EVENT_FIELD(data + SC_BOUND(start, SC_SCRATCH_HALF), nparams);
	if (index >= count)
		return 0;
	offset = start + SC_LENGTH_AT(count);
	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_PARAMS; i++)
	{
		u32 length = *(const u16 *)(data + SC_BOUND(start + SC_LENGTH_AT(i), SC_SCRATCH_HALF));

		if (i == index)
			return (u64)length << 32 | offset;
		offset += length;
	}
	return 0;
}

/* An event that the filter is asked about. */
struct sift_event {
	const u8 *data;
	u32 size; /* of the record */
	u32 way;
	u32 sieve; /* which one is asked */
	s64 ret;
};

/* Returns whether a test of an argument is true, or may be for a reader. */
static __always_inline bool sift__holds(const struct sift_event *event, const struct sc_argument *test)
{
	bool negated = test->is & SC_ARGUMENT_NEGATED;
	u32 space = event->sieve | (test->is & SC_ARGUMENT_REVERSED ? 2 : 0);
	u32 start = SC_CPU_LEN;
	u32 length;
	u64 param;
	int passes;

	if (test->is & SC_ARGUMENT_DONE && event->way == SC_WAY_EXIT && event->ret)
		return test->is & SC_ARGUMENT_IF_ABSENT;
	if (test->is & SC_ARGUMENT_OF_EXTENSION)
		start += *(const u32 *)SC_HEADER_FIELD(event->data, len);
	param = sift__param(event->way, start, test->param, event->size);
	length = param >> 32;
	if (!length)
		return true;
	passes = text__passes(event->way, (u32)param, length, space, test->is & SC_ARGUMENT_PATH);
	return passes == SC_MAY_PASS || !!(passes & (1u << (test->bit & 31))) != negated;
}

/* Returns whether a group of tests refuses an event: a clause has no test that holds. */
static __always_inline bool sift__is_refused_by(const struct sc_argument *tests, const struct sift_event *event)
{
	bool holds = false;

	_Pragma("clang loop unroll(disable)") for (u32 i = 0; i < SC_COMPARED_OF_CALL; i++)
	{
		const struct sc_argument *test = &tests[i];

		if (!holds)
			holds = sift__holds(event, test);
		if (test->is & SC_ARGUMENT_ENDS) {
			if (!holds)
				return true;
			holds = false;
		}
		if (test->is & SC_ARGUMENT_LAST)
			break;
	}
	return false;
}

/* Returns whether the filter leaves out an event of a slot. */
static __always_inline bool sift__is_left_out(struct sift_event *event, u64 slot)
{
	u32 change = *(volatile u32 *)&sc_settings.sieve;
	const struct sc_sieve *sieve = &sc_settings.sieves[change & 1];
	bool is_exit = event->way == SC_WAY_EXIT;
	u32 direction = is_exit ? SC_WANT_EXIT : SC_WANT_ENTER;
	u32 index = SC_BOUND(slot, SC_SLOTS), group;

	group = sieve->compared[is_exit][index];
	if (!group)
		return false;
	/* It may change a name. */
	if (sieve->keeps[index] & direction && !(is_exit && rules__is_failure(event->ret)))
		return false;
	event->sieve = change & 1;
	/* The recorder may have written the memory meanwhile: then it decides. */
	return sift__is_refused_by(sieve->arguments[SC_BOUND(group - 1, SC_COMPARED)], event) &&
	       *(volatile u32 *)&sc_settings.sieve == change;
}

/* Ends the run that has assembled an event: puts the event into a ring, unless the filter leaves it out. */
static __always_inline void sift__end_run(u64 *ctx, enum sc_way way, u64 number, s64 ret)
{
	u64 slot = extract__slot(ctx, number, extract__is_compat(extract__typed_current()));
	struct sc_call call = { .way = way };
	const struct auxmap_waiting *waiting;
	struct sift_event event = { .way = way, .ret = ret };
	struct sc_counters *counters;
	struct auxmap auxmap = {};
	u32 place;

	/* The program before has found it. */
	if (!call__locate_cpu(&call))
		return;
	auxmap.data = call.cpu->scratch[way];
	waiting = (const struct auxmap_waiting *)(auxmap.data + SC_SCRATCH_ROOM);
	auxmap.pos = waiting->pos;
	place = SC_COUNTER(waiting->type);
	if (place >= SC_COUNTED)
		return;
	counters = &call.cpu->events[place];
	event.data = auxmap.data;
	event.size = auxmap.pos;
	if (sift__is_left_out(&event, slot)) {
		counter__dec(&counters->seen, way);
		sieve__count(way);
	} else {
		auxmap__put(&call, &auxmap, counters, waiting->state);
	}
	call__end(&call);
}

SEC("tp_btf/sys_enter") int sift_enter(u64 *ctx)
{
	sift__end_run(ctx, SC_WAY_ENTER, extract__enter_number(ctx), 0);
	return 0;
}

SEC("tp_btf/sys_exit") int sift_exit(u64 *ctx)
{
	sift__end_run(ctx, SC_WAY_EXIT, extract__exit_number(ctx), extract__result(ctx));
	return 0;
}
