/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The auxmap template, for events whose size is not known in advance: the program fills a scratch area of this CPU,
 * then copies it into the ring.
 *
 *   struct auxmap auxmap;
 *   if (!auxmap__begin(call, &auxmap, access_x))
 *           return;
 *   auxmap__store(&auxmap, access_x, res, call->ret);                          an integer
 *   auxmap__store_charbuf(&auxmap, access_x, name, pointer, SC_MAX_PATH, SC_USER);   a string
 *   ...                                                     each parameter once, in the order of the row
 *   auxmap__submit_event(call, &auxmap, access_x);
 *
 * A parameter that cannot be read gets length 0: 'no value'.
 */
#pragma once

#include "template/program.h"
#include "template/schema.h"

enum {
	SC_MAX_PATH = 4096, /* PATH_MAX, the terminating NUL included */
	/* The end of the scratch area holds temporary data while a parameter is assembled. */
	SC_SCRATCH_ROOM = SC_SCRATCH_SIZE - 1024,
};

/* The address space of a pointer. */
enum sc_memory {
	SC_USER,
	SC_KERNEL,
};

struct auxmap {
	u8 *data;    /* the record: CPU, header, lengths, parameters; then those of an extension, see extension.h */
	u8 *event;   /* the event that parameters are stored in */
	u32 start;   /* its offset */
	u32 pos;     /* offset of the next parameter's bytes */
	u32 next;    /* index of the next parameter: folds away */
	u32 nparams; /* number of parameters recorded: folds away in most programs */
	u32 way;     /* whose scratch area it is: enum sc_way */
};

/*
 * Returns the same number after hiding its value from the verifier, which then merges the paths that lead to a point
 * instead of following each one.
 */
static __always_inline u32 auxmap__forget(struct auxmap *auxmap, u32 number)
{
	volatile u32 *room = (volatile u32 *)(auxmap->data + SC_SCRATCH_ROOM);

	*room = number;
	return *room;
}

/* Hides the length of the parameters so far from the verifier. */
static __always_inline void auxmap__settle(struct auxmap *auxmap)
{
	auxmap->pos = auxmap__forget(auxmap, auxmap->pos);
}

/*
 * Finds the scratch area of a way, for a global function. None of these is called on the way in. Returns false if the CPU is
 * unknown.
 */
static __always_inline bool auxmap__find(struct auxmap *auxmap, u32 way)
{
	u32 cpu_id = bpf_get_smp_processor_id();
	struct sc_cpu *cpu = bpf_map_lookup_elem(&cpus, &cpu_id);

	if (!cpu)
		return false;
	auxmap->data = cpu->scratch[SC_WAY_EXIT + SC_BOUND(way - SC_WAY_EXIT, SC_WAYS - SC_WAY_EXIT)];
	return true;
}

/* Returns the address of `offset` in the area; a single write of up to SC_SCRATCH_HALF bytes fits there. */
static __always_inline u8 *auxmap__at(struct auxmap *auxmap, u32 offset)
{
	return auxmap->data + SC_BOUND(offset, SC_SCRATCH_HALF);
}

/* Returns the address of the next bytes; a single write of up to SC_SCRATCH_HALF bytes fits there. */
static __always_inline u8 *auxmap__tail(struct auxmap *auxmap)
{
	return auxmap__at(auxmap, auxmap->pos);
}

static __always_inline bool auxmap__get(struct sc_call *call, struct auxmap *auxmap, u16 type, u32 nparams)
{
	struct sc_counters *counters = call__counters(call, type);

	counter__inc(&counters->seen, call->way);
	auxmap->data = call->cpu->scratch[call->way];
	if (call->nested) {
		call__lose(call, &counters->lost_no_scratch);
		return false;
	}
	auxmap->event = auxmap->data + SC_CPU_LEN;
	auxmap->start = SC_CPU_LEN;
	auxmap->pos = SC_LENGTH_OFFSET(nparams);
	auxmap->next = 0;
	auxmap->nparams = nparams;
	auxmap->way = call->way;
	call__fill_header(call, auxmap->data, type, nparams);
	return true;
}

/* Starts an event. Returns false and counts a loss if the scratch area is in use. */
#define auxmap__begin(call, auxmap, program) auxmap__get(call, auxmap, program##__type, program##__recorded())

/* Copies the event, with an extension if it has one, into a ring. Returns whether it fit. */
static __always_inline bool auxmap__copy_to(void *ring, struct auxmap *auxmap)
{
	u64 size = SC_BOUND(auxmap->pos, SC_SCRATCH_HALF);

	return ring && !bpf_ringbuf_output(ring, auxmap->data, size, sc_settings.submit_flags);
}

/* Writes the length of the event that ends here. */
static __always_inline void auxmap__close(struct auxmap *auxmap)
{
	*(u32 *)SC_EVENT_FIELD(auxmap->event, len) = auxmap->pos - auxmap->start;
}

/* An event that waits for the filter in the scratch area, at SC_SCRATCH_ROOM. */
struct auxmap_waiting {
	u32 pos;
	u16 type;
	u16 state;
};

/* Puts a whole event into a ring, or counts it as lost. */
static __always_inline void auxmap__put(struct sc_call *call, struct auxmap *auxmap, struct sc_counters *counters,
					bool state)
{
	if (auxmap__copy_to(call__ring(call), auxmap))
		return;
	if (!state || !auxmap__copy_to(&reserve, auxmap))
		call__lose_room(call, counters);
}

/*
 * Calls the program that asks the filter about an event's arguments, if it has tests of those. That program ends the run; so
 * such an event is the last thing that a run records. Returns if the filter does not care.
 */
static __always_inline void auxmap__ask_filter(struct sc_call *call, struct auxmap *auxmap, u16 type, bool state)
{
	struct auxmap_waiting *waiting = (struct auxmap_waiting *)(auxmap->data + SC_SCRATCH_ROOM);

	/* Functions that record several events in a run have no context. */
	if (!sc_constants.filters || !sc_constants.arguments || call->way == SC_WAY_TRACEPOINT || !call->ctx)
		return;
	if (!sc_settings.sieves[sc_settings.sieve & 1].argued[SC_COUNTER(type)])
		return;
	waiting->pos = auxmap->pos;
	waiting->type = type;
	waiting->state = state;
	if (call->way == SC_WAY_ENTER)
		bpf_tail_call(call->ctx, &enter_programs, SC_SLOT_SIFT);
	else
		bpf_tail_call(call->ctx, &exit_programs, SC_SLOT_SIFT);
}

static __always_inline void auxmap__output(struct sc_call *call, struct auxmap *auxmap, u16 type, bool state)
{
	struct sc_counters *counters = call__counters(call, type);

	if (auxmap->pos > SC_CPU_LEN + SC_MAX_EVENT) {
		call__lose(call, &counters->lost_too_large);
		return;
	}
	auxmap__close(auxmap);
	auxmap__ask_filter(call, auxmap, type, state);
	auxmap__put(call, auxmap, counters, state);
}

#define auxmap__submit_event(call, auxmap, program)                              \
	do {                                                                     \
		if ((auxmap)->next != program##__nparams)                        \
			sc_parameter_missing();                                  \
		auxmap__output(call, auxmap, program##__type, program##__state); \
	} while (0)

static __always_inline void auxmap__account(struct auxmap *auxmap, u32 index, u16 length)
{
	if (index >= auxmap->nparams)
		return;
	*(u16 *)(auxmap->event + SC_LENGTH_AT(index)) = length;
	auxmap->pos += length;
}

/*
 * Accounts for `length` bytes written at auxmap__tail() as the next parameter. The macros below use it, as do
 * extractors that build a parameter from several parts. A macro, so that clang names the program's line if a parameter
 * is out of order.
 */
#define auxmap__push(auxmap, index, length)             \
	do {                                            \
		if ((auxmap)->next++ != (index))        \
			sc_parameter_out_of_order();    \
		auxmap__account(auxmap, index, length); \
	} while (0)

/* Stores an integer, in the representation of its type. */
#define auxmap__store(auxmap, program, param, expression)                            \
	do {                                                                         \
		typedef typeof(SC_TYPE(program, param).value) value_type_;           \
		value_type_ value_ = (expression);                                   \
		*(value_type_ *)auxmap__tail(auxmap) = value_;                       \
		auxmap__push(auxmap, SC_INDEX(program, param), sizeof(value_type_)); \
	} while (0)

/* 1 if the parameter has this type, 0 if not. Versions of clang-format disagree on the blanks of _Generic. */
/* clang-format off */
#define SC_HAS_TYPE(program, param, type) _Generic(SC_TYPE(program, param), sc_ty_##type : 1, default : 0)
/* clang-format on */

/* 1 if the named macro can store the parameter's type, 0 if not. */
#define SC_IS_CHARBUF(program, param)                                                   \
	(SC_HAS_TYPE(program, param, CHARBUF) || SC_HAS_TYPE(program, param, FSPATH) || \
	 SC_HAS_TYPE(program, param, FSRELPATH))
#define SC_IS_BYTEBUF(program, param) SC_HAS_TYPE(program, param, BYTEBUF)
#define SC_REQUIRE(condition, text) _Static_assert(condition, text)

/*
 * Copies a string from user memory with its NUL. Returns its length with the NUL, negative if it cannot be read. Older
 * kernels, 6.12 among them, return 0 for an empty string.
 */
static __always_inline long auxmap__copy_user_string(u8 *to, u32 limit, const void *pointer)
{
	long n = bpf_probe_read_user_str(to, limit, pointer);

	if (n)
		return n;
	*to = 0;
	return 1;
}

/*
 * Writes a string with its NUL at the tail. Returns its length with the NUL, 0 if it cannot be read. `limit` is a
 * constant of at most SC_SCRATCH_HALF that includes the NUL.
 */
static __always_inline u16 auxmap__read_string(struct auxmap *auxmap, const void *pointer, u32 limit,
					       enum sc_memory memory)
{
	u8 *tail = auxmap__tail(auxmap);
	long n;

	if (!pointer)
		return 0;
	n = memory == SC_USER ? auxmap__copy_user_string(tail, limit, pointer) :
				bpf_probe_read_kernel_str(tail, limit, pointer);
	return n > 0 ? n : 0;
}

/* Stores a NUL-terminated string. */
#define auxmap__store_charbuf(auxmap, program, param, pointer, limit, memory)                       \
	do {                                                                                        \
		SC_REQUIRE(SC_IS_CHARBUF(program, param), "not a string in its row of events.def"); \
		auxmap__push(auxmap, SC_INDEX(program, param),                                      \
			     auxmap__read_string(auxmap, (const void *)(pointer), limit, memory));  \
	} while (0)

/* Writes `length` bytes, at most 65,535, at the tail. Returns how many, 0 if they cannot be read. */
static __always_inline u16 auxmap__read_bytes(struct auxmap *auxmap, const void *pointer, u64 length,
					      enum sc_memory memory)
{
	u8 *tail = auxmap__tail(auxmap);
	u64 size = length < SC_SCRATCH_HALF ? length : SC_SCRATCH_HALF - 1;
	long failed;

	size = SC_BOUND(size, SC_SCRATCH_HALF);
	if (!pointer || !size)
		return 0;
	failed = memory == SC_USER ? bpf_probe_read_user(tail, size, pointer) :
				     bpf_probe_read_kernel(tail, size, pointer);
	return failed ? 0 : size;
}

/* Stores bytes. */
#define auxmap__store_bytebuf(auxmap, program, param, pointer, length, memory)                     \
	do {                                                                                       \
		SC_REQUIRE(SC_IS_BYTEBUF(program, param), "not bytes in its row of events.def");   \
		auxmap__push(auxmap, SC_INDEX(program, param),                                     \
			     auxmap__read_bytes(auxmap, (const void *)(pointer), length, memory)); \
	} while (0)

/* Stores a parameter without a value. */
#define auxmap__store_empty(auxmap, program, param) auxmap__push(auxmap, SC_INDEX(program, param), 0)
