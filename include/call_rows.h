/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The CALL rows of extensions.def as the generic programs read them: where the value of each parameter is, and how much of
 * it is kept. The recorder fills the tables before the programs are loaded (src/probe/calls.rs).
 */
#pragma once

#include "kernel_types.h"

enum {
	SC_CALL_ROWS = 512, /* stable codes are below this: a power of two */
	SC_ROW_VALUES = 12, /* parameters of a row, besides the result */
	SC_VALUES = 2048,   /* parameters of all rows: a power of two */
	SC_ARGUMENTS = 8,   /* arguments of a call, rounded up to a power of two */
	SC_MOVED_CALLS = 8, /* calls whose arguments are in other places than their row says */
	SC_X32_CALLS = 64,  /* numbers of calls that only x32 programs have, from SC_NR_MAX on: a power of two */
};

/* The interface between a program and the kernel, as structures in user memory start with it: see layouts.def. */
enum sc_abi {
	SC_ABI_X86_64,
	SC_ABI_I386,
	SC_ABI_ARM64,
	SC_ABI_ARM,
	SC_ABI_X32,
	SC_ABI_I386_TIME64, /* a 32-bit call with 64-bit times */
	SC_ABI_ARM_TIME64,
	SC_ABIS,
};

/* How a parameter is read. */
enum sc_form {
	SC_FORM_VALUE,  /* the argument itself */
	SC_FORM_WIDE,   /* the same; two arguments of a 32-bit caller, the low half first */
	SC_FORM_STRING, /* a string with its NUL */
	SC_FORM_BYTES,  /* bytes */
	SC_FORM_TEXT,   /* bytes that become a string: a NUL is appended */
	SC_FORM_STRUCT, /* the ABI, then bytes */
	SC_FORM_IOVEC,  /* the data of an array of struct iovec; the length counts its entries */
} __attribute__((packed));

/* What the length of bytes comes from. */
enum sc_length {
	SC_LENGTH_FIXED,    /* sc_value.number */
	SC_LENGTH_ARGUMENT, /* argument `length_argument` */
	SC_LENGTH_AT,       /* a 32-bit integer at the address there */
	SC_LENGTH_RESULT,   /* the result */
	SC_LENGTH_AT_MOST,  /* the result, at most that argument */
	SC_LENGTH_BITS,     /* a bit set: that argument counts bits; whole words of the caller */
	SC_LENGTH_NODES,    /* the same for one bit less than that argument */
	SC_LENGTH_BEHIND,   /* a 32-bit integer 8 bytes behind the address there */
	SC_LENGTH_PAGES,    /* that argument is the size of memory with pages of sc_value.number bytes */
} __attribute__((packed));

/* Further properties of a parameter. */
enum sc_value_flags {
	SC_VALUE_SIGN_32 = 1,      /* the argument is an int: 32 bits with a sign, whatever the type's size */
	SC_VALUE_SIGN_COMPAT = 2,  /* the same for a 32-bit caller only */
	SC_VALUE_OUT = 4,          /* filled in by the call, unless it failed */
	SC_VALUE_SNAPLEN = 8,      /* the limit is the snaplen, if that is larger than `limit` */
	SC_VALUE_UNITS = 16,       /* the length counts structures */
	SC_VALUE_BEHIND = 32,      /* the bytes are behind one structure at the address */
	SC_VALUE_CONDITIONAL = 64, /* it has a value only if argument `when_argument` is one of the bits of `when` */
	SC_VALUE_SIGNED = 128,     /* the type of an integer has a sign */
	SC_VALUE_VIA = 256,        /* the address is that of a pointer to the bytes */
	SC_VALUE_EACH = 512,       /* the address is that of pointers to one structure each */
	SC_VALUE_FOUND = 1024,     /* with SC_VALUE_OUT: filled in only if the result is above 0 */
} __attribute__((packed));

/* A parameter. The arguments are counted from 0: those of a 64-bit caller, then those of a 32-bit one. */
struct sc_value {
	enum sc_form form;
	enum sc_value_flags flags;
	u8 size; /* of an integer */
	enum sc_length length;
	u8 argument[2];
	u8 length_argument[2];
	u8 when_argument[2];
	u8 when_shift; /* bits of that argument to skip */
	u16 limit;     /* maximum number of bytes */
	u32 when;
	u32 number;               /* the fixed length */
	u16 layout_size[SC_ABIS]; /* of a structure: its size, 0 if the ABI has none */
};

/* The row of a call. */
struct sc_call_row {
	u8 count;                  /* its parameters, besides the result */
	u8 result_size;            /* the size of the result; 0 if there is no row */
	u8 result_signed;          /* whether its type has a sign */
	u8 waits;                  /* whether the enter event has an extension */
	u16 values[SC_ROW_VALUES]; /* the places of its parameters in sc_calls.values */
};

/* A call of 32-bit or x32 programs whose arguments are not where the row of its code has them. */
struct sc_moved_call {
	u32 number; /* with SC_X32_BIT if it is an x32 call */
	u32 row;    /* a row of its own */
};

struct sc_calls {
	struct sc_call_row rows[SC_CALL_ROWS]; /* by stable code; from the end, those of `moved` */
	struct sc_value values[SC_VALUES];
	struct sc_moved_call moved[SC_MOVED_CALLS];
	u16 x32_code[SC_X32_CALLS]; /* the stable codes of calls that only x32 programs have */
};

/* The call whose parameters a program reads by the table. */
struct sc_described {
	u64 arguments[SC_ARGUMENTS]; /* those of a 32-bit caller have 32 bits */
	s64 ret;                     /* at the exit */
	u32 abi;                     /* enum sc_abi */
	u32 compat;                  /* whether it is a 32-bit call */
	u32 failed;
	u32 padding;
};
