/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What C derives from the table of extension events. No number here is typed by hand but the bases of the types.
 *
 *   <program>__extension__type      the type of the extension of the program's event; also __nparams, __state, and the
 *   struct <program>__extension__index, __types   structures of events_dimensions.h: the macros that store a parameter
 *                                   take <program>__extension like the name of a program
 *   <program>__type, ...            the same of a PRIVATE row's program; its event takes the auxmap template
 *   SC_COUNTER(type)                an event type's place in sc_cpu.events
 */
#pragma once

#include "events_dimensions.h"

/* The first type of each kind of rows. */
enum {
	SC_TYPE_CALL = 0x8000,      /* + 2 * the call's stable code; + 1 for its exit event */
	SC_TYPE_EXTENSION = 0x9000, /* + the type of the event that it extends */
	SC_TYPE_PRIVATE = 0xa000,
};

#define CALL(...)
#define EXTENSION(...)
#define PRIVATE(code, number, ...) code = number,
enum sc_private {
	SC_PRIVATE_BEFORE = SC_TYPE_PRIVATE - 1,
#include "extensions.def"
	SC_PRIVATE_END,
};
#undef PRIVATE
#undef EXTENSION

enum {
	/* Event types with counters. An extension is counted as its event. */
	SC_COUNTED = PPM_EVENT_MAX + SC_PRIVATE_END - SC_TYPE_PRIVATE,
};

#define SC_COUNTER(type) ((type) < SC_TYPE_PRIVATE ? (type) : PPM_EVENT_MAX + (type)-SC_TYPE_PRIVATE)

#define EXTENSION(program, flags, params)                                         \
	enum {                                                                    \
		program##__extension__type = SC_TYPE_EXTENSION + program##__type, \
		program##__extension__nparams = 0 params                          \
	};
#define PRIVATE(code, number, program, name, source, category, flags, params) \
	enum { program##__type = code, program##__nparams = 0 params, program##__state = (flags + 0) };
#define P(name, type, ...) +1
#include "extensions.def"
#undef P
#undef EXTENSION
#undef PRIVATE

#define EXTENSION(program, flags, params)    \
	struct program##__extension__index { \
		params                       \
	};
#define PRIVATE(code, number, program, name, source, category, flags, params) \
	struct program##__index {                                             \
		params                                                        \
	};
#define P(name, type, ...) char name;
#include "extensions.def"
#undef P
#undef EXTENSION
#undef PRIVATE

#define EXTENSION(program, flags, params)    \
	struct program##__extension__types { \
		params                       \
	};
#define PRIVATE(code, number, program, name, source, category, flags, params) \
	struct program##__types {                                             \
		params                                                        \
	};
#define P(name, type, ...) sc_ty_##type name;
#include "extensions.def"
#undef P
#undef EXTENSION
#undef PRIVATE
#undef CALL
