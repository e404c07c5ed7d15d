/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Appends an extension event to an event of the auxmap template: both are one record. The event takes that template even
 * if all its parameters have a fixed size.
 *
 *   ...                                         every parameter of the event, as always
 *   if (!auxmap__extend(call, &auxmap, access_x))
 *           return;                             extensions are not recorded: the event is submitted as it is
 *   auxmap__store(&auxmap, access_x__extension, flags, value);    each parameter once, in the order of its row in
 *   ...                                                           extensions.def
 *   auxmap__submit_extended(call, &auxmap, access_x);
 */
#pragma once

#include "template/auxmap.h"

/*
 * Starts an extension event behind the event in the scratch area. It has the event's time and thread, which a program
 * may have changed since the header was filled.
 */
static __always_inline void auxmap__begin_extension(struct auxmap *auxmap, u16 type, u32 nparams)
{
	auxmap__close(auxmap);
	auxmap->start = auxmap->pos;
	auxmap->event = auxmap__tail(auxmap);
	*(u64 *)SC_EVENT_FIELD(auxmap->event, ts) = *(u64 *)SC_HEADER_FIELD(auxmap->data, ts);
	*(u64 *)SC_EVENT_FIELD(auxmap->event, tid) = *(u64 *)SC_HEADER_FIELD(auxmap->data, tid);
	*(u16 *)SC_EVENT_FIELD(auxmap->event, type) = type;
	*(u32 *)SC_EVENT_FIELD(auxmap->event, nparams) = nparams;
	auxmap->pos += SC_LENGTH_AT(nparams);
	auxmap->next = 0;
	auxmap->nparams = nparams;
}

/* Returns whether an extension was started; if not, the event was submitted. */
static __always_inline bool auxmap__start_extension(struct sc_call *call, struct auxmap *auxmap, u16 event_type,
						    bool state, u16 type, u32 nparams)
{
	if (!sc_settings.extensions) {
		auxmap__output(call, auxmap, event_type, state);
		return false;
	}
	auxmap__begin_extension(auxmap, type, nparams);
	return true;
}

/* Ends the event. Returns true if its extension follows, false if extensions are not recorded. */
#define auxmap__extend(call, auxmap, program)                                                                        \
	({                                                                                                           \
		if ((auxmap)->next != program##__nparams)                                                            \
			sc_parameter_missing();                                                                      \
		auxmap__start_extension(call, auxmap, program##__type, program##__state, program##__extension__type, \
					program##__extension__nparams);                                              \
	})

/* Returns how many bytes an integer needs, in its type's representation: 1, 2, 4 or 8. */
static __always_inline u32 extension__needed(u64 value, bool is_signed)
{
	u32 needed = 1;

	/* The bits, with that of the sign, that differ from the sign. */
	if (is_signed)
		value = (value ^ (u64)((s64)value >> 63)) << 1;
	if (value >> 8)
		needed = 2;
	if (value >> 16)
		needed = 4;
	if (value >> 32)
		needed = 8;
	return needed;
}

/*
 * Stores an unsigned integer of an extension in as few bytes as it needs: readers extend it to the size of its type. The low
 * bytes come first.
 */
#define auxmap__store_short(auxmap, program, param, expression)                                   \
	do {                                                                                      \
		typedef typeof(SC_TYPE(program, param).value) value_type_;                        \
		value_type_ value_ = (expression);                                                \
		SC_REQUIRE((value_type_)-1 > 0, "not an unsigned integer in its row");            \
		*(value_type_ *)auxmap__tail(auxmap) = value_;                                    \
		auxmap__push(auxmap, SC_INDEX(program, param), extension__needed(value_, false)); \
		auxmap__settle(auxmap);                                                           \
	} while (0)

/* Returns the offset of a parameter of the event in front of the extension; `nparams` and `index` are constants. */
static __always_inline u32 extension__offset_of(const struct auxmap *auxmap, u32 nparams, u32 index)
{
	u32 offset = SC_LENGTH_OFFSET(nparams);

#pragma clang loop unroll(full)
	for (u32 i = 0; i < index; i++)
		offset += *(u16 *)(auxmap->data + SC_LENGTH_OFFSET(i));
	return offset;
}

/*
 * Takes back an extension that was started: `end` is where the event in front of it ends, auxmap__submit_event submits that.
 */
static __always_inline void auxmap__take_back(struct auxmap *auxmap, u32 end)
{
	auxmap->event = auxmap->data + SC_CPU_LEN;
	auxmap->start = SC_CPU_LEN;
	auxmap->pos = end;
}

/* Submits an event with its extension. They are counted as one event of the program's type. */
#define auxmap__submit_extended(call, auxmap, program)                           \
	do {                                                                     \
		if ((auxmap)->next != program##__extension__nparams)             \
			sc_parameter_missing();                                  \
		auxmap__output(call, auxmap, program##__type, program##__state); \
	} while (0)
