/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* ptrace. */
#include "extract/flags.h"
#include "template/shapes.h"

/* The format numbers requests without gaps, in the kernel's order within each group. */
static __always_inline u16 ptrace_requests_to_scap(u32 request)
{
	const u32 sysgood_first = 0x4200, sysgood_last = 0x420b; /* PTRACE_SETOPTIONS to PTRACE_SETSIGMASK */

	if (request <= 9) /* PTRACE_TRACEME to PTRACE_SINGLESTEP */
		return PPM_ptrace_requests__PTRACE_TRACEME + request;
	if (request >= sysgood_first && request <= sysgood_last)
		return PPM_ptrace_requests__PTRACE_SETOPTIONS + (request - sysgood_first);
	return SC_VALUE(request, 12, ptrace_requests, PTRACE_GETREGS) |
	       SC_VALUE(request, 13, ptrace_requests, PTRACE_SETREGS) |
	       SC_VALUE(request, 14, ptrace_requests, PTRACE_GETFPREGS) |
	       SC_VALUE(request, 15, ptrace_requests, PTRACE_SETFPREGS) |
	       SC_VALUE(request, 16, ptrace_requests, PTRACE_ATTACH) |
	       SC_VALUE(request, 17, ptrace_requests, PTRACE_DETACH) |
	       SC_VALUE(request, 18, ptrace_requests, PTRACE_GETFPXREGS) |
	       SC_VALUE(request, 19, ptrace_requests, PTRACE_SETFPXREGS) |
	       SC_VALUE(request, 21, ptrace_requests, PTRACE_OLDSETOPTIONS) |
	       SC_VALUE(request, 24, ptrace_requests, PTRACE_SYSCALL) |
	       SC_VALUE(request, 25, ptrace_requests, PTRACE_GET_THREAD_AREA) |
	       SC_VALUE(request, 26, ptrace_requests, PTRACE_SET_THREAD_AREA) |
	       SC_VALUE(request, 30, ptrace_requests, PTRACE_ARCH_PRCTL) |
	       SC_VALUE(request, 31, ptrace_requests, PTRACE_SYSEMU) |
	       SC_VALUE(request, 32, ptrace_requests, PTRACE_SYSEMU_SINGLESTEP) |
	       SC_VALUE(request, 33, ptrace_requests, PTRACE_SINGLEBLOCK);
}

/* Writes the index of a number's type and the number at the tail. Returns the length of both. */
static __always_inline u16 ptrace__write_number(struct auxmap *auxmap, u64 number)
{
	u8 *tail = auxmap__tail(auxmap);

	tail[0] = PPM_ptrace_dynamic_param__UINT64;
	*(u64 *)(tail + 1) = number;
	return 1 + sizeof(u64);
}

/* Writes what a request's `data` means: a peeked word, a signal to deliver, or a number. Returns the length. */
static __always_inline u16 ptrace__write_data(const struct sc_call *call, struct auxmap *auxmap, u16 request)
{
	u64 data = extract__syscall_argument(call, 3), word = 0;
	u8 *tail = auxmap__tail(auxmap);

	switch (request) {
	case PPM_ptrace_requests__PTRACE_PEEKTEXT:
	case PPM_ptrace_requests__PTRACE_PEEKDATA:
	case PPM_ptrace_requests__PTRACE_PEEKUSR:
		if (call->compat)
			bpf_probe_read_user(&word, sizeof(u32), (const void *)data);
		else
			bpf_probe_read_user(&word, sizeof(u64), (const void *)data);
		return ptrace__write_number(auxmap, word);
	case PPM_ptrace_requests__PTRACE_CONT:
	case PPM_ptrace_requests__PTRACE_SINGLESTEP:
	case PPM_ptrace_requests__PTRACE_DETACH:
	case PPM_ptrace_requests__PTRACE_SYSCALL:
		tail[0] = PPM_ptrace_dynamic_param__SIGTYPE;
		tail[1] = data;
		return 2;
	default:
		return ptrace__write_number(auxmap, data);
	}
}

#define ptrace__store_request(call, store, event, program)                                                   \
	do {                                                                                                 \
		/* Parameter 1 (4 of the exit event): request (type: PT_ENUMFLAGS16) */                      \
		store(event, program, request, ptrace_requests_to_scap(extract__syscall_argument(call, 0))); \
		/* Parameter 2 (5): pid (type: PT_PID) */                                                    \
		store(event, program, pid, extract__int_argument(call, 1));                                  \
	} while (0)

SYSCALL_ENTER(ptrace_e)
{
	struct ringbuf_struct ringbuf;

	if (!ringbuf__reserve_space(call, &ringbuf, ptrace_e))
		return;
	ptrace__store_request(call, ringbuf__store, &ringbuf, ptrace_e);
	ringbuf__submit_event(call, &ringbuf, ptrace_e);
}

SYSCALL_EXIT(ptrace_x)
{
	u16 request = ptrace_requests_to_scap(extract__syscall_argument(call, 0));
	bool failed = call->ret < 0;
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, ptrace_x))
		return;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(&auxmap, ptrace_x, res, call->ret);
	/* Parameter 2: addr (type: PT_DYN): 0 for a failed call */
	auxmap__push(&auxmap, SC_INDEX(ptrace_x, addr),
		     ptrace__write_number(&auxmap, failed ? 0 : extract__syscall_argument(call, 2)));
	/* Parameter 3: data (type: PT_DYN): 0 for a failed call */
	auxmap__push(&auxmap, SC_INDEX(ptrace_x, data),
		     failed ? ptrace__write_number(&auxmap, 0) : ptrace__write_data(call, &auxmap, request));
	ptrace__store_request(call, auxmap__store, &auxmap, ptrace_x);
	auxmap__submit_event(call, &auxmap, ptrace_x);
}
