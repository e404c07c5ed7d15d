/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * execve and execveat.
 *
 * The event of a successful call describes the new program. On x86-64 a successful execveat looks like an execve to
 * sys_exit, so its exit event is execve's. Before 6.0 arm64 loses the call's number: there sched_process_exec records
 * it.
 */
#include "extract/exe.h"
#include "extract/flags.h"
#include "extract/paths.h"
#include "extract/process_params.h"
#include "filter.h"
#include "numbers.h"
#include "template/extension.h"

/* Stores parameters 1 to 30, res to gid, as in execveat's row. `argv` and `envp` are a failed call's. */
static __always_inline void exec__store(struct sc_call *call, struct auxmap *auxmap, u64 argv, u64 envp)
{
	struct task_struct *task = extract__current();
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct file *exe = BPF_CORE_READ(mm, exe_file);
	struct inode *inode = BPF_CORE_READ(exe, f_inode);

	*arguments__note(auxmap) = 0;
	/* Parameter 1: res (type: PT_ERRNO) */
	auxmap__store(auxmap, execve_x, res, call->ret);
	/* Parameter 2: exe (type: PT_CHARBUF), parameter 3: args (type: PT_BYTEBUF) */
	if (call->ret)
		auxmap__store_argv(auxmap, execve_x, argv, call->compat);
	else
		auxmap__store_arguments(auxmap, execve_x, mm);
	auxmap__settle(auxmap);
	process__store(auxmap, task, mm);
	/* Parameter 16: env (type: PT_BYTEBUF) */
	if (sc_constants.no_env)
		auxmap__store_empty(auxmap, execve_x, env);
	else if (auxmap__forget(auxmap, call->ret))
		auxmap__push(auxmap, SC_INDEX(execve_x, env),
			     arguments__read_array(auxmap, envp, call->compat, SC_MAX_ARGUMENTS,
						   arguments__note(auxmap), PPM_exec_cut__ENVP_CUT));
	else
		auxmap__push(auxmap, SC_INDEX(execve_x, env),
			     arguments__read_block(auxmap, BPF_CORE_READ(mm, env_start), BPF_CORE_READ(mm, env_end),
						   SC_MAX_ARGUMENTS));
	auxmap__settle(auxmap);
	/* Parameter 17: tty (type: PT_UINT32) */
	auxmap__store(auxmap, execve_x, tty, extract__tty(task));
	/* Parameter 18: vpgid (type: PT_PID) */
	auxmap__store(auxmap, execve_x, vpgid, extract__vnr(task, PIDTYPE_PGID));
	/* Parameter 19: loginuid (type: PT_UID) */
	auxmap__store(auxmap, execve_x, loginuid, extract__loginuid(task));
	/* Parameter 20: flags (type: PT_FLAGS32) */
	auxmap__store(auxmap, execve_x, flags, extract__exe_flags(task, exe));
	/* Parameter 21: cap_inheritable (type: PT_UINT64) */
	auxmap__store(auxmap, execve_x, cap_inheritable, extract__capabilities(task, cap_inheritable));
	/* Parameter 22: cap_permitted (type: PT_UINT64) */
	auxmap__store(auxmap, execve_x, cap_permitted, extract__capabilities(task, cap_permitted));
	/* Parameter 23: cap_effective (type: PT_UINT64) */
	auxmap__store(auxmap, execve_x, cap_effective, extract__capabilities(task, cap_effective));
	/* Parameter 24: exe_ino (type: PT_UINT64) */
	auxmap__store(auxmap, execve_x, exe_ino, BPF_CORE_READ(inode, i_ino));
	/* Parameter 25: exe_ino_ctime (type: PT_ABSTIME) */
	auxmap__store(auxmap, execve_x, exe_ino_ctime, extract__ctime(inode));
	/* Parameter 26: exe_ino_mtime (type: PT_ABSTIME) */
	auxmap__store(auxmap, execve_x, exe_ino_mtime, extract__mtime(inode));
	/* Parameter 27: uid (type: PT_UID) */
	auxmap__store(auxmap, execve_x, uid, BPF_CORE_READ(task, cred, euid.val));
	/* Parameter 28: trusted_exepath (type: PT_FSPATH) */
	auxmap__store_path(auxmap, execve_x, trusted_exepath, exe);
	/* Parameter 29: pgid (type: PT_PID) */
	auxmap__store(auxmap, execve_x, pgid, extract__nr(extract__pid(task, PIDTYPE_PGID)));
	/* Parameter 30: gid (type: PT_GID) */
	auxmap__store(auxmap, execve_x, gid, BPF_CORE_READ(task, cred, egid.val));
}

/* Returns whether an event's extension says what the event does not: always after a success. */
static __always_inline bool exec__says_more(struct sc_call *call, struct auxmap *auxmap)
{
	return sc_settings.extensions && (!call->ret || *arguments__note(auxmap));
}

/* Stores the parameters argv and envp of a successful call. Returns what they lack: bits of exec_cut. */
static __always_inline u32 exec__store_blocks(struct auxmap *auxmap)
{
	struct mm_struct *mm = BPF_CORE_READ(extract__current(), mm);
	u32 cut = 0;

	auxmap__push(auxmap, SC_INDEX(execve_x__extension, argv),
		     arguments__read_long_block(auxmap, BPF_CORE_READ(mm, arg_start), BPF_CORE_READ(mm, arg_end), &cut,
						PPM_exec_cut__ARGV_CUT));
	auxmap__settle(auxmap);
	if (sc_constants.no_env)
		auxmap__store_empty(auxmap, execve_x__extension, envp);
	else
		auxmap__push(auxmap, SC_INDEX(execve_x__extension, envp),
			     arguments__read_long_block(auxmap, BPF_CORE_READ(mm, env_start),
							BPF_CORE_READ(mm, env_end), &cut, PPM_exec_cut__ENVP_CUT));
	return cut;
}

/* The same for a failed call; `note` says which of them the event cuts. */
static __always_inline u32 exec__store_arrays(struct sc_call *call, struct auxmap *auxmap, u64 argv, u64 envp, u32 note)
{
	u32 cut = 0;

	auxmap__push(auxmap, SC_INDEX(execve_x__extension, argv),
		     arguments__read_long_array(auxmap, argv, call->compat, note & PPM_exec_cut__ARGV_CUT, &cut,
						PPM_exec_cut__ARGV_CUT));
	auxmap__settle(auxmap);
	auxmap__push(auxmap, SC_INDEX(execve_x__extension, envp),
		     arguments__read_long_array(auxmap, envp, call->compat, note & PPM_exec_cut__ENVP_CUT, &cut,
						PPM_exec_cut__ENVP_CUT));
	return cut;
}

/* Stores the parameters of the extension. `interpreter` is a string of the kernel, NULL if none ran. */
static __always_inline void exec__store_extension(struct sc_call *call, struct auxmap *auxmap, const void *interpreter,
						  u64 argv, u64 envp)
{
	u32 note = *arguments__note(auxmap);
	u32 cut;

	/* Parameter 1: interpreter (type: PT_FSPATH) */
	auxmap__store_charbuf(auxmap, execve_x__extension, interpreter, interpreter, sizeof(struct sc_interpreter),
			      SC_KERNEL);
	auxmap__settle(auxmap);
	if (auxmap__forget(auxmap, call->ret)) {
		/* Parameter 2: workdir (type: PT_FSPATH) */
		auxmap__store_empty(auxmap, execve_x__extension, workdir);
		/* Parameter 3: workdir_flags (type: PT_FLAGS8) */
		auxmap__store_empty(auxmap, execve_x__extension, workdir_flags);
		/* Parameter 4: argv (type: PT_CHARBUFARRAY), parameter 5: envp (type: PT_CHARBUFARRAY) */
		cut = exec__store_arrays(call, auxmap, argv, envp, note);
	} else {
		struct fs_struct *fs = BPF_CORE_READ(extract__current(), fs);

		/* Parameter 2: workdir (type: PT_FSPATH), parameter 3: workdir_flags (type: PT_FLAGS8) */
		auxmap__store_resolved(auxmap, execve_x__extension, workdir, BPF_CORE_READ(fs, pwd.dentry),
				       BPF_CORE_READ(fs, pwd.mnt));
		/* Parameter 4: argv (type: PT_CHARBUFARRAY), parameter 5: envp (type: PT_CHARBUFARRAY) */
		cut = exec__store_blocks(auxmap);
	}
	auxmap__settle(auxmap);
	/* Parameter 6: cut (type: PT_FLAGS8) */
	auxmap__store(auxmap, execve_x__extension, cut, cut);
}

SC_SAME_PLACE(execve_x__extension, execveat_x__extension, cut);

/* Submits the event, with its extension if that says more. */
#define exec__submit(call, auxmap, program, interpreter, argv, envp)          \
	do {                                                                  \
		if (!exec__says_more(call, auxmap)) {                         \
			auxmap__submit_event(call, auxmap, program);          \
			return;                                               \
		}                                                             \
		if (!auxmap__extend(call, auxmap, program))                   \
			return;                                               \
		exec__store_extension(call, auxmap, interpreter, argv, envp); \
		auxmap__submit_extended(call, auxmap, program);               \
	} while (0)

static __always_inline void execve__exit(struct sc_call *call, const void *interpreter, u64 filename, u64 argv,
					 u64 envp)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, execve_x))
		return;
	exec__store(call, &auxmap, argv, envp);
	/*
	 * Parameter 31: filename (type: PT_FSPATH). The argument is gone with the old memory, but the kernel leaves a
	 * copy in the new one for AT_EXECFN, right after the environment.
	 */
	if (!auxmap__forget(&auxmap, call->ret))
		filename = BPF_CORE_READ(extract__current(), mm, env_end);
	auxmap__store_charbuf(&auxmap, execve_x, filename, filename, SC_MAX_PATH, SC_USER);
	exec__submit(call, &auxmap, execve_x, interpreter, argv, envp);
}

#if defined(__TARGET_ARCH_arm64)
#define SC_EXIT_TELLS_EXEC 0
#else
#define SC_EXIT_TELLS_EXEC 1
#endif

/* Returns whether another program records this call: a successful one on arm64. */
static __always_inline bool exec__is_elsewhere(const struct sc_call *call)
{
	return !SC_EXIT_TELLS_EXEC && !call->ret;
}

SYSCALL_ENTER(execve_e)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, execve_e))
		return;
	/* Parameter 1: filename (type: PT_FSPATH) */
	auxmap__store_charbuf(&auxmap, execve_e, filename, extract__syscall_argument(call, 0), SC_MAX_PATH, SC_USER);
	auxmap__submit_event(call, &auxmap, execve_e);
}

SYSCALL_EXIT(execve_x)
{
	u32 tid = call->tid;
	struct sc_interpreter *interpreter = NULL;

	if (exec__is_elsewhere(call))
		return;
	if (SC_EXIT_TELLS_EXEC && !call->ret)
		interpreter = bpf_map_lookup_elem(&interpreters, &tid);
	execve__exit(call, interpreter, extract__syscall_argument(call, 0), extract__syscall_argument(call, 1),
		     extract__syscall_argument(call, 2));
	if (interpreter)
		bpf_map_delete_elem(&interpreters, &tid);
}

SYSCALL_ENTER(execveat_e)
{
	struct auxmap auxmap;

	if (!auxmap__begin(call, &auxmap, execveat_e))
		return;
	/* Parameter 1: dirfd (type: PT_FD) */
	auxmap__store(&auxmap, execveat_e, dirfd, extract__int_argument(call, 0));
	/* Parameter 2: pathname (type: PT_FSRELPATH) */
	auxmap__store_charbuf(&auxmap, execveat_e, pathname, extract__syscall_argument(call, 1), SC_MAX_PATH, SC_USER);
	/* Parameter 3: flags (type: PT_FLAGS32) */
	auxmap__store(&auxmap, execveat_e, flags, execveat_flags_to_scap(extract__syscall_argument(call, 4)));
	auxmap__submit_event(call, &auxmap, execveat_e);
}

SYSCALL_EXIT(execveat_x)
{
	struct auxmap auxmap;

	if (exec__is_elsewhere(call) || !auxmap__begin(call, &auxmap, execveat_x))
		return;
	exec__store(call, &auxmap, extract__syscall_argument(call, 2), extract__syscall_argument(call, 3));
	exec__submit(call, &auxmap, execveat_x, NULL, extract__syscall_argument(call, 2),
		     extract__syscall_argument(call, 3));
}

/* Returns the interpreter that runs in place of the file, as the file names it; NULL if the file itself runs. */
static __always_inline const void *exec__interpreter(struct linux_binprm *binary)
{
	const char *interpreter = BPF_CORE_READ(binary, interp);

	return interpreter == BPF_CORE_READ(binary, filename) ? NULL : interpreter;
}

/* Arguments of both programs: the task, its thread id before exec, the struct linux_binprm. */
#if defined(__TARGET_ARCH_arm64)
SEC("tp_btf/sched_process_exec") int sched_process_exec(u64 *ctx)
{
	struct sc_call call = { .ctx = ctx, .way = SC_WAY_TRACEPOINT };
	struct linux_binprm *binary = (struct linux_binprm *)SC_CONTEXT_WORD(ctx, 2);

	if (tracepoint__wanted_for(SC_TP_PROCESS_EXEC, SC_NR_execve) && call__begin(&call)) {
		execve__exit(&call, exec__interpreter(binary), 0, 0, 0);
		call__end(&call);
	}
	return 0;
}
#else
/* Notes the interpreter for the exit event, which comes too late to know it. */
SEC("tp_btf/sched_process_exec") int note_interpreter(u64 *ctx)
{
	const void *interpreter = exec__interpreter((struct linux_binprm *)SC_CONTEXT_WORD(ctx, 2));
	struct sc_interpreter noted = {};
	u32 tid = bpf_get_current_pid_tgid();

	if (!interpreter) {
		/* What an event that was not recorded has left behind. */
		bpf_map_delete_elem(&interpreters, &tid);
		return 0;
	}
	if (!sc_settings.extensions || !tracepoint__wanted_for(0, SC_NR_execve))
		return 0;
	if (bpf_probe_read_kernel_str(noted.path, sizeof(noted.path), interpreter) > 0)
		bpf_map_update_elem(&interpreters, &tid, &noted, BPF_ANY);
	return 0;
}
#endif
