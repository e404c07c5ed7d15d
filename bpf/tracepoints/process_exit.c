/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* procexit: a thread ends, and with the last one its process. */
#include "extract/reaper.h"
#include "filter.h"
#include "template/ringbuf.h"

/* The parts of an exit code, encoded as in wait(2). */
#define SC_EXIT_STATUS(code) (((code) >> 8) & 0xff)
#define SC_EXIT_SIGNAL(code) (0x7f & (code))
#define SC_EXIT_CORE(code) ((0x80 & (code)) != 0)

static __always_inline void process_exit__emit(struct sc_call *call, struct task_struct *task)
{
	struct ringbuf_struct ringbuf;
	int code = BPF_CORE_READ(task, exit_code);
	s64 reaper = extract__reaper(task);

	if (!ringbuf__reserve_space(call, &ringbuf, sched_process_exit))
		return;
	/* Parameter 1: status (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, sched_process_exit, status, code);
	/* Parameter 2: ret (type: PT_ERRNO) */
	ringbuf__store(&ringbuf, sched_process_exit, ret, SC_EXIT_STATUS(code));
	/* Parameter 3: sig (type: PT_SIGTYPE) */
	ringbuf__store(&ringbuf, sched_process_exit, sig, SC_EXIT_SIGNAL(code));
	/* Parameter 4: core (type: PT_UINT8) */
	ringbuf__store(&ringbuf, sched_process_exit, core, SC_EXIT_CORE(code));
	/* Parameter 5: reaper_tid (type: PT_PID) */
	ringbuf__store(&ringbuf, sched_process_exit, reaper_tid, reaper);
	ringbuf__submit_event(call, &ringbuf, sched_process_exit);
}

/* Argument: the task. */
SEC("tp_btf/sched_process_exit") int sched_process_exit(u64 *ctx)
{
	struct sc_call call = { .ctx = ctx, .way = SC_WAY_TRACEPOINT };
	u32 tid = bpf_get_current_pid_tgid();

	if (tracepoint__wanted(SC_TP_PROCESS_EXIT) && call__begin(&call)) {
		process_exit__emit(&call, extract__current());
		call__end(&call);
	}
	if (sc_settings.targets_only)
		bpf_map_delete_elem(&targets, &tid);
	return 0;
}
