/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The parameters of calls without a program of their own, as the table of calls describes them (include/call_rows.h). */
#pragma once

#include "extract/data.h"
#include "template/extension.h"

/* Maximum number of structures that are read by a pointer each. */
#define SC_EACH_MAX 16

/* Returns the ABI of the current call. */
static __always_inline u32 values__abi(const struct sc_call *call, u32 number)
{
	/* The calls with 64-bit times have the same numbers for all 32-bit callers. */
	const u32 first = 403, last = 423;
	bool time64 = number - first <= last - first;

#if defined(__TARGET_ARCH_x86)
	if (call->compat)
		return time64 ? SC_ABI_I386_TIME64 : SC_ABI_I386;
	return number & SC_X32_BIT ? SC_ABI_X32 : SC_ABI_X86_64;
#else
	if (call->compat)
		return time64 ? SC_ABI_ARM_TIME64 : SC_ABI_ARM;
	return SC_ABI_ARM64;
#endif
}

/* Returns whether the pointers of the caller have 32 bits. */
static __always_inline bool values__is_ilp32(const struct sc_described *described)
{
	return described->compat || described->abi == SC_ABI_X32;
}

/* Copies what the parameters are read from to memory, where arguments can be indexed. */
static __always_inline const struct sc_described *values__begin(struct sc_call *call, u32 number)
{
	const s64 max_errno = 4095;
	struct sc_described *described = &call->cpu->described[call->way];

#pragma clang loop unroll(full)
	for (int i = 0; i < 6; i++)
		described->arguments[i] = extract__syscall_argument(call, i);
	described->ret = call->ret;
	described->compat = call->compat;
	described->abi = values__abi(call, number);
	described->failed = call->ret < 0 && call->ret >= -max_errno;
	return described;
}

/* Returns argument n, masked to the call's arguments. */
static __always_inline u64 values__argument(const struct sc_described *described, u32 n)
{
	return described->arguments[SC_BOUND(n, SC_ARGUMENTS)];
}

/* Returns the argument to take of those for a 64-bit and a 32-bit caller. */
#define values__which(described, argument) ((argument)[SC_BOUND((described)->compat, 2)])

/* Returns a VALUE or WIDE parameter, to be cut to its size. */
static __always_inline u64 values__integer(const struct sc_described *described, const volatile struct sc_value *value)
{
	u32 argument = values__which(described, value->argument);
	u64 number = values__argument(described, argument);

	if (value->form == SC_FORM_WIDE && described->compat)
		return number | values__argument(described, argument + 1) << 32;
	if (value->flags & (described->compat ? SC_VALUE_SIGN_32 | SC_VALUE_SIGN_COMPAT : SC_VALUE_SIGN_32))
		return (s64)(s32)number;
	return number;
}

/*
 * Stores an integer of a type of `size` bytes at the tail, in as few bytes as it needs: readers extend it. Returns how many.
 */
static __always_inline u32 values__put(struct auxmap *auxmap, u64 number, u32 size, bool is_signed)
{
	u32 unused = (64 - 8 * size) & 63;

	number <<= unused;
	number = is_signed ? (u64)((s64)number >> unused) : number >> unused;
	*(u64 *)auxmap__tail(auxmap) = number;
	return extension__needed(number, is_signed);
}

/* Returns how many bytes a set of this many bits has: whole words of the caller. */
static __always_inline u64 values__bits(u64 bits, bool ilp32)
{
	u64 word = ilp32 ? 32 : 64;

	return bits > (1 << 20) ? 0 : (bits + word - 1) / word * (word / 8);
}

/* Returns the length of a parameter in memory, before any limit. */
static __always_inline u64 values__length(const struct sc_described *described, const volatile struct sc_value *value)
{
	u64 argument = values__argument(described, values__which(described, value->length_argument));
	u64 result = data__received(described->ret);
	u32 number = 0;

	switch (value->length) {
	case SC_LENGTH_ARGUMENT:
		return argument;
	case SC_LENGTH_AT:
		bpf_probe_read_user(&number, sizeof(number), (const void *)argument);
		return number;
	case SC_LENGTH_BEHIND:
		bpf_probe_read_user(&number, sizeof(number), (const void *)argument + sizeof(u64));
		return number;
	case SC_LENGTH_PAGES:
		return value->number ? (argument + value->number - 1) / value->number : 0;
	case SC_LENGTH_RESULT:
		return result;
	case SC_LENGTH_AT_MOST:
		return result < argument ? result : argument;
	case SC_LENGTH_BITS:
		return values__bits(argument, values__is_ilp32(described));
	case SC_LENGTH_NODES:
		return values__bits(argument - 1, values__is_ilp32(described));
	default:
		return value->number;
	}
}

/* Returns the maximum number of bytes of a parameter. */
static __always_inline u64 values__limit(const volatile struct sc_value *value)
{
	u64 limit = value->limit, snaplen = snaplen__plain();

	if (value->flags & SC_VALUE_SNAPLEN && snaplen > limit)
		limit = snaplen < SC_MAX_DATA ? snaplen : SC_MAX_DATA;
	return limit;
}

/* Returns how many bytes of a parameter are kept; of several structures, only whole ones. */
static __always_inline u64 values__kept(const struct sc_described *described, const volatile struct sc_value *value,
					u64 layout_size)
{
	u64 length = values__length(described, value), limit = values__limit(value);

	if (value->flags & SC_VALUE_UNITS) {
		if (!layout_size)
			return 0;
		limit /= layout_size;
		return (length < limit ? length : limit) * layout_size;
	}
	if (value->form == SC_FORM_STRUCT && length > layout_size)
		length = layout_size;
	if (value->flags & SC_VALUE_VIA && value->flags & SC_VALUE_OUT)
		limit = data__cut(data__received(described->ret), limit);
	return length < limit ? length : limit;
}

/* Returns entry i of an array of the caller's pointers; 0 if it cannot be read. */
static __always_inline u64 values__pointer(const struct sc_described *described, u64 address, u32 i)
{
	bool ilp32 = values__is_ilp32(described);
	u64 pointer = 0;

	bpf_probe_read_user(&pointer, ilp32 ? sizeof(u32) : sizeof(u64),
			    (const void *)address + i * (ilp32 ? sizeof(u32) : sizeof(u64)));
	return pointer;
}

/* Writes the structures that an array of pointers points to, behind the ABI. Returns their length, 0 if there are none. */
static __always_inline u32 values__read_each(const struct sc_described *described,
					     const volatile struct sc_value *value, const struct auxmap *auxmap,
					     u64 address)
{
	u64 layout_size = value->layout_size[SC_BOUND(described->abi, 8)];
	u32 end = SC_BOUND(values__kept(described, value, layout_size), SC_SCRATCH_HALF), length = 0;

	*(auxmap->data + SC_BOUND(auxmap->pos, SC_SCRATCH_HALF)) = described->abi;
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_EACH_MAX; i++) {
		u8 *to = auxmap->data + SC_BOUND(auxmap->pos + 1 + length, SC_SCRATCH_HALF);

		if (length >= end)
			break;
		if (bpf_probe_read_user(to, SC_BOUND(layout_size, SC_SCRATCH_HALF),
					(const void *)values__pointer(described, address, i)))
			break;
		length = SC_BOUND(length + layout_size, SC_SCRATCH_HALF);
	}
	return length ? length + 1 : 0;
}

/* Writes bytes at the tail, with what its form adds to them. Returns how many were written, 0 if they cannot be read. */
static __always_inline u32 values__read_bytes(const struct sc_described *described,
					      const volatile struct sc_value *value, const struct auxmap *auxmap,
					      u64 address)
{
	u64 layout_size = value->layout_size[SC_BOUND(described->abi, 8)];
	u32 prefix = value->form == SC_FORM_STRUCT, suffix = value->form == SC_FORM_TEXT;
	u64 size = values__kept(described, value, layout_size);
	u8 *tail = auxmap->data + SC_BOUND(auxmap->pos, SC_SCRATCH_HALF);

	if (value->flags & SC_VALUE_BEHIND)
		address += layout_size;
	size = SC_BOUND(size, SC_SCRATCH_HALF);
	if (!size && !suffix)
		return 0;
	if (bpf_probe_read_user(tail + SC_BOUND(prefix, 2), size, (const void *)address))
		return 0;
	if (prefix)
		*tail = described->abi;
	if (suffix)
		*(auxmap->data + SC_BOUND(auxmap->pos + size, SC_SCRATCH_HALF)) = 0;
	return size + prefix + suffix;
}

/* Returns whether the condition of a parameter holds. */
static __always_inline bool values__applies(const struct sc_described *described, const volatile struct sc_value *value)
{
	u16 number;

	if (value->flags & SC_VALUE_OUT && described->failed)
		return false;
	if (value->flags & SC_VALUE_FOUND && !described->ret)
		return false;
	if (!(value->flags & SC_VALUE_CONDITIONAL))
		return true;
	number =
		values__argument(described, values__which(described, value->when_argument)) >> (value->when_shift & 63);
	return number < 32 && value->when >> (number & 31) & 1;
}

/*
 * Writes the parameter at `place` of the table at `pos` in the scratch area of exit programs. Returns its length, 0 without
 * a value. A global function, so that the verifier checks it once, not once per parameter.
 */
__noinline u32 values__read(u32 place, u32 pos)
{
	const volatile struct sc_value *value = &sc_calls.values[SC_BOUND(place, SC_VALUES)];
	u32 cpu_id = bpf_get_smp_processor_id();
	struct sc_cpu *cpu = bpf_map_lookup_elem(&cpus, &cpu_id);
	const struct sc_described *described;
	struct auxmap auxmap = { .pos = pos, .way = SC_WAY_EXIT };
	u64 address, limit;

	if (!cpu)
		return 0;
	described = &cpu->described[SC_WAY_EXIT];
	auxmap.data = cpu->scratch[SC_WAY_EXIT];
	address = values__argument(described, values__which(described, value->argument));
	if (!address || !values__applies(described, value))
		return 0;
	if (value->form == SC_FORM_STRING)
		return auxmap__read_string(&auxmap, (const void *)address, SC_MAX_PATH, SC_USER);
	if (value->flags & SC_VALUE_EACH)
		return values__read_each(described, value, &auxmap, address);
	if (value->flags & SC_VALUE_VIA)
		address = values__pointer(described, address, 0);
	if (value->form != SC_FORM_IOVEC)
		return values__read_bytes(described, value, &auxmap, address);
	limit = values__limit(value);
	if (value->flags & SC_VALUE_OUT)
		limit = data__cut(data__received(described->ret), limit);
	return vector__gather(values__is_ilp32(described), &auxmap, address,
			      values__argument(described, values__which(described, value->length_argument)), limit);
}

/*
 * Stores the parameters of a row from index `index` of the extension on. At the entry, only those that are arguments have a
 * value.
 */
static __always_inline void values__store(struct sc_call *call, const struct sc_described *described,
					  const volatile struct sc_call_row *row, struct auxmap *auxmap, u32 index)
{
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_ROW_VALUES; i++) {
		u32 place = row->values[i], length = 0;
		const volatile struct sc_value *value = &sc_calls.values[SC_BOUND(place, SC_VALUES)];

		if (i >= row->count)
			break;
		if (value->form > SC_FORM_WIDE) {
			if (call->way == SC_WAY_EXIT)
				length = values__read(place, auxmap->pos);
		} else if (values__applies(described, value)) {
			length = values__put(auxmap, values__integer(described, value), value->size,
					     value->flags & SC_VALUE_SIGNED);
		}
		*(u16 *)(auxmap->event + SC_LENGTH_AT(index + i)) = length;
		auxmap->pos = auxmap__forget(auxmap, auxmap->pos + length);
	}
}
