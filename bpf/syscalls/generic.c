/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The event pair of every system call without a program of its own. If the call has a row in extensions.def, an extension
 * has its result and its arguments: of the exit event always, of the enter event if the call may wait.
 */
#include "extract/values.h"
#include "template/ringbuf.h"

/* Returns the stable code of the current system call, 0 for one that the tables do not know. */
static __always_inline u16 generic__code(const struct sc_call *call, u32 number)
{
	return sc_routes.code[extract__slot(call->ctx, number, call->compat)];
}

/* Returns the call's number in 16 bits. Without a code, it must not look like another call's (enum sc_native). */
static __always_inline u16 generic__native(const struct sc_call *call, u32 number, u16 code)
{
	u32 flag = 0;

	if (code)
		return number;
	if (call->compat) {
		flag = SC_NATIVE_32BIT;
	} else if (number & SC_X32_BIT) {
		flag = SC_NATIVE_X32;
		number &= ~SC_X32_BIT;
	}
	return number <= SC_NATIVE_NUMBER ? flag | number : SC_NATIVE_BEYOND;
}

/* Returns the row at a place. */
static __always_inline const volatile struct sc_call_row *generic__row_at(u32 place)
{
	return &sc_calls.rows[SC_BOUND(place, SC_CALL_ROWS)];
}

#if defined(__TARGET_ARCH_x86)
/* Returns the code of the call whose row describes the current call: that of an x32 call, which has none in its event, too. */
static __always_inline u16 generic__row_code(const struct sc_call *call, u32 number, u16 code)
{
	u32 beyond = (number & ~SC_X32_BIT) - SC_NR_MAX;

	if (!code && !call->compat && number & SC_X32_BIT) {
		if (beyond < SC_X32_CALLS)
			return sc_calls.x32_code[SC_BOUND(beyond, SC_X32_CALLS)];
		return generic__code(call, number & ~SC_X32_BIT);
	}
	return code;
}

/* Returns the row of the current call, whose row has that code. */
static __always_inline const volatile struct sc_call_row *generic__row(const struct sc_call *call, u32 number, u16 code)
{
	u32 place = code;

	if (call->compat || number & SC_X32_BIT) {
#pragma clang loop unroll(disable)
		for (u32 i = 0; i < SC_MOVED_CALLS; i++) {
			if (sc_calls.moved[i].number == number)
				place = sc_calls.moved[i].row;
		}
	}
	return generic__row_at(place);
}
#else
/* The same: every call that has a row has its code. */
#define generic__row_code(call, number, code) (code)
#define generic__row(call, number, code) generic__row_at(code)
#endif

/* Stores the parameters of a generic event with one of the templates. */
#define generic__store(store, event, program, id, native)     \
	do {                                                  \
		/* Parameter 1: ID (type: PT_SYSCALLID) */    \
		store(event, program, ID, id);                \
		/* Parameter 2: nativeID (type: PT_UINT16) */ \
		store(event, program, nativeID, native);      \
	} while (0)

/* Records a generic event without an extension. */
#define generic__record(call, program, id, native)                             \
	do {                                                                   \
		struct ringbuf_struct ringbuf;                                 \
                                                                               \
		if (!ringbuf__reserve_space(call, &ringbuf, program))          \
			break;                                                 \
		generic__store(ringbuf__store, &ringbuf, program, id, native); \
		ringbuf__submit_event(call, &ringbuf, program);                \
	} while (0)

/* Returns the type of a call's extension. */
static __always_inline u16 generic__extension_type(u16 code, enum sc_way way)
{
	return SC_TYPE_CALL + 2 * code + (way == SC_WAY_EXIT);
}

/* Begins an extension with the parameters of a row, and stores them; the result first at the exit. */
static __always_inline void generic__extend(struct sc_call *call, struct auxmap *auxmap, u32 number, u16 code,
					    const volatile struct sc_call_row *row)
{
	const struct sc_described *described = values__begin(call, number);
	u32 results = call->way == SC_WAY_EXIT;

	auxmap__begin_extension(auxmap, generic__extension_type(code, call->way), row->count + results);
	if (results) {
		u32 length = values__put(auxmap, call->ret, row->result_size, row->result_signed);

		*(u16 *)(auxmap->event + SC_LENGTH_AT(0)) = length;
		auxmap->pos += length;
	}
	auxmap__settle(auxmap);
	values__store(call, described, row, auxmap, results);
}

/* Records a generic event with an extension. */
#define generic__record_extended(call, program, number, id, native, code, row)    \
	do {                                                                      \
		struct auxmap auxmap;                                             \
                                                                                  \
		if (!auxmap__begin(call, &auxmap, program))                       \
			break;                                                    \
		generic__store(auxmap__store, &auxmap, program, id, native);      \
		generic__extend(call, &auxmap, number, code, row);                \
		auxmap__output(call, &auxmap, program##__type, program##__state); \
	} while (0)

SYSCALL_ENTER(generic_e)
{
	u32 number = extract__number(call->regs);
	u16 id = generic__code(call, number);
	u16 native = generic__native(call, number, id), code = generic__row_code(call, number, id);
	const volatile struct sc_call_row *row = generic__row(call, number, code);

	if (sc_settings.extensions && row->waits)
		generic__record_extended(call, generic_e, number, id, native, code, row);
	else
		generic__record(call, generic_e, id, native);
}

/* The size of an exit event's extension with nothing but a result of 8 bytes. */
enum {
	GENERIC_RESULT_SIZE = SC_HEADER_LEN + SC_LENGTH_LEN + sizeof(s64),
};

/* Records a generic exit event whose extension is the result alone: of fixed size, so it goes directly into the ring. */
static __always_inline void generic__record_result(struct sc_call *call, u16 id, u16 native, u16 code)
{
	struct ringbuf_struct ringbuf;
	u32 size = generic_x__size();
	u8 *extension;

	if (!ringbuf__reserve(call, &ringbuf, generic_x__type, generic_x__nparams, size + GENERIC_RESULT_SIZE,
			      generic_x__state))
		return;
	generic__store(ringbuf__store, &ringbuf, generic_x, id, native);
	*(u32 *)SC_HEADER_FIELD(ringbuf.data, len) = size;
	extension = ringbuf.data + SC_CPU_LEN + size;
	event__fill_header(call, extension, generic__extension_type(code, SC_WAY_EXIT), 1);
	*(u32 *)SC_EVENT_FIELD(extension, len) = GENERIC_RESULT_SIZE;
	*(u16 *)(extension + SC_LENGTH_AT(0)) = sizeof(s64);
	*(u64 *)(extension + SC_LENGTH_AT(1)) = call->ret;
	ringbuf__submit_event(call, &ringbuf, generic_x);
}

SYSCALL_EXIT(generic_x)
{
	u32 number = extract__number_at_exit(extract__number(call->regs), call->ret);
	u16 id = generic__code(call, number);
	u16 native = generic__native(call, number, id), code = generic__row_code(call, number, id);
	const volatile struct sc_call_row *row = generic__row(call, number, code);

	if (!sc_settings.extensions || !row->result_size)
		generic__record(call, generic_x, id, native);
	else if (!row->count && row->result_size == sizeof(s64))
		generic__record_result(call, id, native, code);
	else
		generic__record_extended(call, generic_x, number, id, native, code, row);
}
