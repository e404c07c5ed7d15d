/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What C derives from the event table. No number here is typed by hand.
 *
 *   PPME_*                  the event types
 *   <program>__type         the event type that the program records
 *   <program>__nparams      the number of parameters in its row, including those of later schemas
 *   <program>__state        1 if the event builds state
 *   struct <program>__params  the parameters of a fixed-size event, laid out as in the event
 *   struct <program>__index   a parameter's index in the row: offsetof() of the member of its name
 *   struct <program>__types   a parameter's type: the type of the member of its name
 */
#pragma once

#include "scap_event.h"

/*
 * A parameter type has two C types: sc_pt_<TYPE>, its integer, defined for fixed sizes only, so that a variable-size
 * parameter in an EVENT_FIXED row does not compile; and sc_ty_<TYPE>, distinct from types with the same integer.
 */
#define PARAM_FIXED(type, number, repr) \
	typedef repr sc_pt_##type;      \
	typedef struct {                \
		repr value;             \
	} sc_ty_##type;
#define PARAM_VAR(type, number) \
	typedef struct {        \
		char bytes[1];  \
	} sc_ty_##type;
#define DYN(list, index, type, format)
#include "params.def"
#undef PARAM_FIXED
#undef PARAM_VAR
#undef DYN

/* The values of flags: PPM_<table>__<name>. */
enum {
#define FLAG(table, name, value) PPM_##table##__##name = value,
#include "flags.def"
#undef FLAG
};

/* The index byte of dynamic parameters: PPM_<list>__<TYPE>. */
enum {
#define PARAM_FIXED(type, number, repr)
#define PARAM_VAR(type, number)
#define DYN(list, index, type, format) PPM_##list##__##type = index,
#include "params.def"
#undef PARAM_FIXED
#undef PARAM_VAR
#undef DYN
};

enum ppm_event_code {
#define EVENT_FIXED(code, number, program, ...) code = number,
#define EVENT_VAR(code, number, program, ...) code = number,
#define EVENT_OLD(code, number, ...) code = number,
#include "events.def"
#undef EVENT_OLD
	PPM_EVENT_MAX,
};
#undef EVENT_FIXED
#undef EVENT_VAR

#define EVENT_OLD(...)
/* Here, parameters of later schemas are like any other; bpf/template/schema.h tells them apart. */
#define P_0_25 P

/* The flags of a row that matter to its program. */
enum {
	NONE = 0,
	WAITS = 0,
	UNUSED = 0,
	USES_FD = 0,
	OLD_VERSION = 0,
	LARGE_PAYLOAD = 0,
	READS_FROM_FD = 0,
	WRITES_TO_FD = 0,
	SKIPPARSERESET = 0,
	CONVERTER_MANAGED = 0,
	/* Readers build their tables of processes and descriptors from these: they may use the reserve ring. */
	CREATES_FD = 1,
	DESTROYS_FD = 1,
	MODIFIES_STATE = 1,
};

/* What an event does to a reader's model, as flags of a row. */
#define EFFECT(token, ...) enum { token = 0 };
#include "effects.def"
#undef EFFECT

/* Types, parameter counts and the state flag, for both kinds of rows. */
#define P(name, type, ...) +1
#define EVENT_FIXED(code, number, program, name, source, category, flags, params) \
	enum { program##__type = code, program##__nparams = 0 params, program##__state = (flags + 0) };
#define EVENT_VAR EVENT_FIXED
#include "events.def"
#undef P
#undef EVENT_FIXED
#undef EVENT_VAR

/* Indexes and types of parameters, for both kinds of rows. */
#define EVENT_FIXED(code, number, program, name, source, category, flags, params) \
	struct program##__index {                                                 \
		params                                                            \
	};
#define EVENT_VAR EVENT_FIXED
#define P(name, type, ...) char name;
#include "events.def"
#undef P
#undef EVENT_FIXED

#define EVENT_FIXED(code, number, program, name, source, category, flags, params) \
	struct program##__types {                                                 \
		params                                                            \
	};
#define P(name, type, ...) sc_ty_##type name;
#include "events.def"
#undef P
#undef EVENT_FIXED
#undef EVENT_VAR

/* The layout of fixed-size events. */
#define EVENT_VAR(...)
#define EVENT_FIXED(code, number, program, name, source, category, flags, params) \
	struct program##__params {                                                \
		params                                                            \
	} __attribute__((packed));
#define P(name, type, ...) sc_pt_##type name;
#include "events.def"
#undef P
#undef EVENT_FIXED
#undef EVENT_VAR
#undef EVENT_OLD
#undef P_0_25

/* The index of a parameter in its row. */
#define SC_INDEX(program, param) __builtin_offsetof(struct program##__index, param)
/* An expression of the parameter's type, for sizeof and _Generic only. */
#define SC_TYPE(program, param) (((struct program##__types *)0)->param)
