/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The structures that system calls take by pointer, as laid out in user memory: part of the kernel's ABI, the same on
 * every kernel. A name ending in 32 is a 32-bit caller's layout.
 */
#pragma once

#include "kernel_types.h"

enum {
	SC_AF_UNIX = 1,
	SC_AF_INET = 2,
	SC_AF_INET6 = 10,

	SC_IOV_MAX = 1024,     /* iovecs per call; more fail with EINVAL */
	SC_MAX_SOCKADDR = 128, /* bytes of struct sockaddr_storage; a longer address fails with EINVAL */
	SC_MAX_SUN_PATH = 108, /* bytes; the path may lack its NUL */
};

struct sc_iovec {
	u64 base;
	u64 len;
};

struct sc_iovec32 {
	u32 base;
	u32 len;
};

struct sc_msghdr {
	u64 name;
	u32 namelen;
	u32 padding_1;
	u64 iov;
	u64 iovlen;
	u64 control;
	u64 controllen;
	u32 flags;
	u32 padding_2;
};

struct sc_msghdr32 {
	u32 name;
	u32 namelen;
	u32 iov;
	u32 iovlen;
	u32 control;
	u32 controllen;
	u32 flags;
};

struct sc_cmsghdr {
	u64 len;
	u32 level;
	u32 type;
};

struct sc_cmsghdr32 {
	u32 len;
	u32 level;
	u32 type;
};

struct sc_mmsghdr {
	struct sc_msghdr header;
	u32 len;
	u32 padding;
};

struct sc_mmsghdr32 {
	struct sc_msghdr32 header;
	u32 len;
};

/* Ports and addresses are in network order. */
struct sc_sockaddr_in {
	u16 family;
	u16 port;
	u32 addr;
	u8 zero[8];
};

struct sc_sockaddr_in6 {
	u16 family;
	u16 port;
	u32 flowinfo;
	u8 addr[16];
	/* scope_id: optional */
};

struct sc_sockaddr_un {
	u16 family;
	char path[SC_MAX_SUN_PATH];
};

struct sc_timeval {
	s64 sec;
	s64 usec;
};

struct sc_timeval32 {
	s32 sec;
	s32 usec;
};

struct sc_timespec {
	s64 sec;
	s64 nsec;
};

struct sc_timespec32 {
	s32 sec;
	s32 nsec;
};

struct sc_rlimit {
	u64 cur;
	u64 max;
};

struct sc_rlimit32 {
	u32 cur;
	u32 max;
};

struct sc_pollfd {
	s32 fd;
	u16 events;
	u16 revents;
};

struct sc_sembuf {
	u16 num;
	s16 op;
	u16 flg;
};

/* The start of struct io_uring_params. */
struct sc_io_uring_params {
	u32 sq_entries;
	u32 cq_entries;
	u32 flags;
	u32 sq_thread_cpu;
	u32 sq_thread_idle;
	u32 features;
};

/* struct io_uring_sqe; of unions, the member that events use. */
struct sc_io_uring_sqe {
	u8 opcode;
	u8 flags;
	u16 ioprio;
	s32 fd;
	u64 off;  /* or addr2 */
	u64 addr; /* or splice_off_in */
	u32 len;
	u32 op_flags;
	u64 user_data;
	u16 buf_index; /* or buf_group */
	u16 personality;
	u32 file_index; /* or splice_fd_in, or addr_len in the low half */
	u64 addr3;
	u64 pad;
};

struct sc_io_uring_cqe {
	u64 user_data;
	s32 res;
	u32 flags;
};

_Static_assert(sizeof(struct sc_io_uring_sqe) == 64 && sizeof(struct sc_io_uring_cqe) == 16, "hidden padding");
_Static_assert(sizeof(struct sc_msghdr) == 56 && sizeof(struct sc_msghdr32) == 28, "a msghdr has hidden padding");
_Static_assert(sizeof(struct sc_sockaddr_in) == 16 && sizeof(struct sc_sockaddr_in6) == 24, "sockaddr_in has padding");
