/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* keyctl: one call for many operations, with numbers or strings as arguments. */
#include "template/shapes.h"

#define SC_OPERATION(name) (1ull << PPM_keyctl_operations__KEYCTL_##name)

/* Operations with an argument 4 (counted from 0), then those with at least argument 3, 2 and 1. */
#define KEYCTL_HAS_4                                                                                               \
	(SC_OPERATION(SEARCH) | SC_OPERATION(INSTANTIATE) | SC_OPERATION(REJECT) | SC_OPERATION(INSTANTIATE_IOV) | \
	 SC_OPERATION(DH_COMPUTE) | SC_OPERATION(MOVE) | SC_OPERATION(PKEY_ENCRYPT) | SC_OPERATION(PKEY_DECRYPT) | \
	 SC_OPERATION(PKEY_SIGN) | SC_OPERATION(PKEY_VERIFY))
#define KEYCTL_HAS_3                                                                                               \
	(KEYCTL_HAS_4 | SC_OPERATION(UPDATE) | SC_OPERATION(CHOWN) | SC_OPERATION(DESCRIBE) | SC_OPERATION(READ) | \
	 SC_OPERATION(NEGATE) | SC_OPERATION(GET_SECURITY) | SC_OPERATION(WATCH_KEY) |                             \
	 SC_OPERATION(RESTRICT_KEYRING) | SC_OPERATION(PKEY_QUERY))
#define KEYCTL_HAS_2                                                                                \
	(KEYCTL_HAS_3 | SC_OPERATION(GET_KEYRING_ID) | SC_OPERATION(SETPERM) | SC_OPERATION(LINK) | \
	 SC_OPERATION(UNLINK) | SC_OPERATION(SET_TIMEOUT) | SC_OPERATION(GET_PERSISTENT) | SC_OPERATION(CAPABILITIES))
#define KEYCTL_HAS_1                                                                                      \
	(KEYCTL_HAS_2 | SC_OPERATION(JOIN_SESSION_KEYRING) | SC_OPERATION(REVOKE) | SC_OPERATION(CLEAR) | \
	 SC_OPERATION(SET_REQKEY_KEYRING) | SC_OPERATION(ASSUME_AUTHORITY) | SC_OPERATION(INVALIDATE))

/* Operations whose argument 1, 2 or 3 is a string. */
#define KEYCTL_STRING_1 (SC_OPERATION(JOIN_SESSION_KEYRING))
#define KEYCTL_STRING_2                                                                       \
	(SC_OPERATION(SEARCH) | SC_OPERATION(RESTRICT_KEYRING) | SC_OPERATION(PKEY_ENCRYPT) | \
	 SC_OPERATION(PKEY_DECRYPT) | SC_OPERATION(PKEY_SIGN) | SC_OPERATION(PKEY_VERIFY))
#define KEYCTL_STRING_3 (SC_OPERATION(SEARCH) | SC_OPERATION(RESTRICT_KEYRING) | SC_OPERATION(PKEY_QUERY))

static __always_inline bool keyctl__is_in(u64 operations, u32 operation)
{
	return operation < 64 && operations >> operation & 1;
}

/* Writes the index of an argument's type and the argument at the tail. Returns the length of both. */
static __always_inline u16 keyctl__write(struct auxmap *auxmap, bool is_string, u64 argument)
{
	u8 *tail = auxmap__tail(auxmap);
	long n = 0;

	if (!is_string) {
		tail[0] = PPM_keyctl_dynamic_param__INT64;
		*(u64 *)(tail + 1) = argument;
		return 1 + sizeof(u64);
	}
	tail[0] = PPM_keyctl_dynamic_param__CHARBUF;
	if (argument)
		n = auxmap__copy_user_string(tail + 1, SC_MAX_PATH, (const void *)argument);
	return auxmap__forget(auxmap, n > 0 ? 1 + n : 1);
}

/* Stores argument n; 0 if the operation does not use it. */
#define keyctl__store(call, auxmap, param, operation, n, has, string)        \
	auxmap__push(auxmap, SC_INDEX(keyctl_x, param),                      \
		     keyctl__write(auxmap, keyctl__is_in(string, operation), \
				   keyctl__is_in(has, operation) ? extract__syscall_argument(call, n) : 0))

SYSCALL_ENTER_EMPTY(keyctl_e)

SYSCALL_EXIT(keyctl_x)
{
	u32 operation = extract__syscall_argument(call, 0);
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, keyctl_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, keyctl_x, res, call->ret);
	/* Parameter 2: operation (type: PT_ENUMFLAGS32): the kernel's values */
	auxmap__store(&auxmap, keyctl_x, operation, operation);
	/* Parameter 3: arg2 (type: PT_DYN) */
	keyctl__store(call, &auxmap, arg2, operation, 1, KEYCTL_HAS_1, KEYCTL_STRING_1);
	/* Parameter 4: arg3 (type: PT_DYN) */
	keyctl__store(call, &auxmap, arg3, operation, 2, KEYCTL_HAS_2, KEYCTL_STRING_2);
	/* Parameter 5: arg4 (type: PT_DYN) */
	keyctl__store(call, &auxmap, arg4, operation, 3, KEYCTL_HAS_3, KEYCTL_STRING_3);
	/* Parameter 6: arg5 (type: PT_DYN) */
	keyctl__store(call, &auxmap, arg5, operation, 4, KEYCTL_HAS_4, 0);
	auxmap__submit_event(call, &auxmap, keyctl_x);
}
