/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* semget, semctl, semop. */
#include "extract/flags.h"
#include "template/shapes.h"
#include "user_types.h"

static __always_inline u32 semget_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, 01000, semget_flags, IPC_CREAT) | SC_FLAG(flags, 02000, semget_flags, IPC_EXCL);
}

#define semaphores__store_get(call, ringbuf, program)                                                               \
	do {                                                                                                        \
		/* Parameter 1 (2 of the exit event): key (type: PT_INT32) */                                       \
		ringbuf__store(ringbuf, program, key, extract__syscall_argument(call, 0));                          \
		/* Parameter 2 (3): nsems (type: PT_INT32) */                                                       \
		ringbuf__store(ringbuf, program, nsems, extract__syscall_argument(call, 1));                        \
		/* Parameter 3 (4): semflg (type: PT_FLAGS32) */                                                    \
		ringbuf__store(ringbuf, program, semflg, semget_flags_to_scap(extract__syscall_argument(call, 2))); \
	} while (0)

SYSCALL_PAIR_STORE(semget, semaphores__store_get)

enum {
	SC_SETVAL = 16,
};

static __always_inline u16 semctl_cmd_to_scap(u32 cmd)
{
	return SC_VALUE(cmd, 0, semctl_commands, IPC_RMID) | SC_VALUE(cmd, 1, semctl_commands, IPC_SET) |
	       SC_VALUE(cmd, 2, semctl_commands, IPC_STAT) | SC_VALUE(cmd, 3, semctl_commands, IPC_INFO) |
	       SC_VALUE(cmd, 11, semctl_commands, GETPID) | SC_VALUE(cmd, 12, semctl_commands, GETVAL) |
	       SC_VALUE(cmd, 13, semctl_commands, GETALL) | SC_VALUE(cmd, 14, semctl_commands, GETNCNT) |
	       SC_VALUE(cmd, 15, semctl_commands, GETZCNT) | SC_VALUE(cmd, SC_SETVAL, semctl_commands, SETVAL) |
	       SC_VALUE(cmd, 17, semctl_commands, SETALL) | SC_VALUE(cmd, 18, semctl_commands, SEM_STAT) |
	       SC_VALUE(cmd, 19, semctl_commands, SEM_INFO);
}

#define semaphores__store_control(call, ringbuf, program)                                                          \
	do {                                                                                                       \
		u32 cmd_ = extract__syscall_argument(call, 2);                                                     \
                                                                                                                   \
		/* Parameter 1 (2 of the exit event): semid (type: PT_INT32) */                                    \
		ringbuf__store(ringbuf, program, semid, extract__syscall_argument(call, 0));                       \
		/* Parameter 2 (3): semnum (type: PT_INT32) */                                                     \
		ringbuf__store(ringbuf, program, semnum, extract__syscall_argument(call, 1));                      \
		/* Parameter 3 (4): cmd (type: PT_FLAGS16) */                                                      \
		ringbuf__store(ringbuf, program, cmd, semctl_cmd_to_scap(cmd_));                                   \
		/* Parameter 4 (5): val (type: PT_INT32): only for SETVAL */                                       \
		ringbuf__store(ringbuf, program, val, cmd_ == SC_SETVAL ? extract__syscall_argument(call, 3) : 0); \
	} while (0)

SYSCALL_PAIR_STORE(semctl, semaphores__store_control)

/* The first two operations of a successful semop. */
struct semaphores_operations {
	struct sc_sembuf op[2];
};

static __always_inline struct semaphores_operations semaphores__operations(const struct sc_call *call)
{
	u64 pointer = extract__syscall_argument(call, 1);
	u32 count = extract__syscall_argument(call, 2);
	struct semaphores_operations operations = {};

	if (call->ret != 0)
		return operations;
	if (count > 0)
		bpf_probe_read_user(&operations.op[0], sizeof(struct sc_sembuf), (const void *)pointer);
	if (count > 1)
		bpf_probe_read_user(&operations.op[1], sizeof(struct sc_sembuf),
				    (const void *)(pointer + sizeof(struct sc_sembuf)));
	return operations;
}

static __always_inline u16 semop_flags_to_scap(u16 flags)
{
	return SC_FLAG(flags, 04000, semop_flags, IPC_NOWAIT) | SC_FLAG(flags, 0x1000, semop_flags, SEM_UNDO);
}

#define semaphores__store_id(call, ringbuf, program)                    \
	/* Parameter 1 (9 of the exit event): semid (type: PT_INT32) */ \
	ringbuf__store(ringbuf, program, semid, extract__syscall_argument(call, 0))

#define semaphores__store_done(call, ringbuf, program)                                             \
	do {                                                                                       \
		struct semaphores_operations done_ = semaphores__operations(call);                 \
                                                                                                   \
		/* Parameter 2: nsops (type: PT_UINT32) */                                         \
		ringbuf__store(ringbuf, program, nsops, extract__syscall_argument(call, 2));       \
		/* Parameter 3: sem_num_0 (type: PT_UINT16) */                                     \
		ringbuf__store(ringbuf, program, sem_num_0, done_.op[0].num);                      \
		/* Parameter 4: sem_op_0 (type: PT_INT16) */                                       \
		ringbuf__store(ringbuf, program, sem_op_0, done_.op[0].op);                        \
		/* Parameter 5: sem_flg_0 (type: PT_FLAGS16) */                                    \
		ringbuf__store(ringbuf, program, sem_flg_0, semop_flags_to_scap(done_.op[0].flg)); \
		/* Parameter 6: sem_num_1 (type: PT_UINT16) */                                     \
		ringbuf__store(ringbuf, program, sem_num_1, done_.op[1].num);                      \
		/* Parameter 7: sem_op_1 (type: PT_INT16) */                                       \
		ringbuf__store(ringbuf, program, sem_op_1, done_.op[1].op);                        \
		/* Parameter 8: sem_flg_1 (type: PT_FLAGS16) */                                    \
		ringbuf__store(ringbuf, program, sem_flg_1, semop_flags_to_scap(done_.op[1].flg)); \
		semaphores__store_id(call, ringbuf, program);                                      \
	} while (0)

SYSCALL_ENTER_STORE(semop_e, semaphores__store_id)
SYSCALL_EXIT_STORE(semop_x, semaphores__store_done)
