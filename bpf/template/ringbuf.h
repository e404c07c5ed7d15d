/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The ringbuf template, for events of fixed size: the program reserves space in the CPU's ring, fills it in place and
 * submits it.
 *
 *   struct ringbuf_struct ringbuf;
 *   if (!ringbuf__reserve_space(call, &ringbuf, access_e))
 *           return;
 *   ringbuf__store(&ringbuf, access_e, mode, value);     each parameter once, in the order of the row
 *   ringbuf__submit_event(call, &ringbuf, access_e);
 */
#pragma once

#include "template/program.h"
#include "template/schema.h"

struct ringbuf_struct {
	u8 *data;
	u32 next;    /* index of the next parameter: folds away */
	u32 nparams; /* number of parameters recorded: folds away in most programs */
};

static __always_inline bool ringbuf__reserve(struct sc_call *call, struct ringbuf_struct *ringbuf, u16 type,
					     u32 nparams, u32 size, bool state)
{
	struct sc_counters *counters = call__counters(call, type);
	void *ring;

	counter__inc(&counters->seen, call->way);
	ring = call__ring(call);
	ringbuf->data = ring ? bpf_ringbuf_reserve(ring, SC_CPU_LEN + size, 0) : NULL;
	ringbuf->next = 0;
	ringbuf->nparams = nparams;
	if (!ringbuf->data && state)
		ringbuf->data = bpf_ringbuf_reserve(&reserve, SC_CPU_LEN + size, 0);
	if (!ringbuf->data) {
		call__lose_room(call, counters);
		return false;
	}
	call__fill_header(call, ringbuf->data, type, nparams);
	*(u32 *)SC_HEADER_FIELD(ringbuf->data, len) = size;
	return true;
}

/* Starts an event. Returns false and counts a loss if the ring is full. */
#define ringbuf__reserve_space(call, ringbuf, program) \
	ringbuf__reserve(call, ringbuf, program##__type, program##__recorded(), program##__size(), program##__state)

/* Stores an integer as the parameter at `index` if the schema has that parameter. */
#define ringbuf__put(ringbuf, type, index, offset, value)                                     \
	do {                                                                                  \
		if ((index) < (ringbuf)->nparams) {                                           \
			u8 *params_ = (ringbuf)->data + SC_LENGTH_OFFSET((ringbuf)->nparams); \
                                                                                              \
			*(u16 *)((ringbuf)->data + SC_LENGTH_OFFSET(index)) = sizeof(type);   \
			*(type *)(params_ + (offset)) = value;                                \
		}                                                                             \
	} while (0)

#define ringbuf__store(ringbuf, program, param, expression)                                \
	do {                                                                               \
		typedef typeof(((struct program##__params *)0)->param) value_type_;        \
		value_type_ value_ = (expression);                                         \
		if ((ringbuf)->next++ != SC_INDEX(program, param))                         \
			sc_parameter_out_of_order();                                       \
		ringbuf__put(ringbuf, value_type_, SC_INDEX(program, param),               \
			     __builtin_offsetof(struct program##__params, param), value_); \
	} while (0)

#define ringbuf__submit_event(call, ringbuf, program)                          \
	do {                                                                   \
		if ((ringbuf)->next != program##__nparams)                     \
			sc_parameter_missing();                                \
		bpf_ringbuf_submit((ringbuf)->data, sc_settings.submit_flags); \
	} while (0)
