/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * An event's parameters and size in the schema of the recording: later versions of the format appended parameters to
 * some rows, and readers of earlier ones abort on them.
 *
 *   <program>__recorded()   the number of parameters of its row that the event has
 *   <program>__size()       the size of a fixed-size event in bytes; not defined for variable-size ones
 *
 * Both fold to constants, except for rows with parameters of a later schema: there the verifier still sees a constant.
 */
#pragma once

#include "maps.h"

#define SC_SCHEMA_HAS(version) (sc_constants.schema >= SC_SCHEMA_##version)

#define EVENT_OLD(...)
#define EVENT_FIXED(code, number, program, name, source, category, flags, params) \
	static __always_inline u32 program##__recorded(void)                      \
	{                                                                         \
		return 0 params;                                                  \
	}
#define EVENT_VAR EVENT_FIXED
#define P(...) +1
#define P_0_25(...) +SC_SCHEMA_HAS(0_25)
#include "events.def"
#define CALL(...)
#define EXTENSION(...)
#define PRIVATE EVENT_FIXED
#include "extensions.def"
#undef CALL
#undef EXTENSION
#undef PRIVATE
#undef P
#undef P_0_25
#undef EVENT_FIXED
#undef EVENT_VAR

#define EVENT_FIXED(code, number, program, name, source, category, flags, params) \
	static __always_inline u32 program##__size(void)                          \
	{                                                                         \
		return SC_HEADER_LEN params;                                      \
	}
#define EVENT_VAR(...)
#define P(name, type, ...) +(SC_LENGTH_LEN + sizeof(sc_pt_##type))
#define P_0_25(name, type, ...) +(SC_SCHEMA_HAS(0_25) ? SC_LENGTH_LEN + sizeof(sc_pt_##type) : 0)
#include "events.def"
#undef P
#undef P_0_25
#undef EVENT_FIXED
#undef EVENT_VAR
#undef EVENT_OLD
