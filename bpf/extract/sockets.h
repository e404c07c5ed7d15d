/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Socket addresses, from a call's arguments and from the kernel's sockets.
 *
 *   sockaddr   family u8, then
 *              AF_INET, AF_INET6:  address 4 or 16, port u16
 *              AF_UNIX:            path with its NUL
 *   socktuple  family u8, then
 *              AF_INET, AF_INET6:  source address, source port, destination address, destination port
 *              AF_UNIX:            socket u64, socket u64, path with its NUL
 *
 * Ports are in host order, addresses in network order. Unix sockets are given by their kernel addresses: the first is
 * always the receiver of the data or connection, and the path is the receiver's.
 *
 * A unix socket's path:
 *   abstract   '@' in place of the leading NUL; inner NULs are kept, and one is appended
 *   relative   unchanged; with "./" in front if it starts with '@'
 *   unnamed    empty
 */
#pragma once

#include "extract/files.h"
#include "extract/flags.h"
#include "template/auxmap.h"
#include "user_types.h"

enum {
	SC_INET_LEN = 1 + 4 + 2,
	SC_INET6_LEN = 1 + 16 + 2,
	SC_INET_TUPLE_LEN = 1 + 2 * (4 + 2),
	SC_INET6_TUPLE_LEN = 1 + 2 * (16 + 2),
	SC_UNIX_TUPLE_LEN = 1 + 2 * 8, /* without the path */

	/* Offset of the buffer for addresses, at the end of the scratch area's temporary room. */
	SC_ADDRESS_SIZE = 256,
	SC_ADDRESS = SC_SCRATCH_SIZE - SC_ADDRESS_SIZE,
};

_Static_assert(SC_MAX_SOCKADDR < SC_ADDRESS_SIZE, "an address with its NUL does not fit");
_Static_assert(SC_ADDRESS > SC_SCRATCH_ROOM + 16, "addresses overwrite auxmap__forget's word");

/* Which end of a tuple is the source. */
enum sc_direction {
	SC_OUTBOUND, /* the local end */
	SC_INBOUND,  /* the remote end */
};

static __always_inline u16 port__to_host(u16 port)
{
	return __builtin_bswap16(port);
}

/* --------------------------------------------------------------- arguments */

/*
 * Returns argument n of a socket call. A 32-bit caller may use socketcall, whose second argument points to the call's
 * arguments.
 */
static __always_inline u64 socket__argument(const struct sc_call *call, int n)
{
	if (call->compat && extract__number(call->regs) == SC_NR_I386_SOCKETCALL)
		return extract__argument_in_memory(call, 1, n);
	return extract__syscall_argument(call, n);
}

/* The same for an int, with its sign. */
static __always_inline s64 socket__int_argument(const struct sc_call *call, int n)
{
	return (s32)socket__argument(call, n);
}

/* --------------------------------------------------------------- addresses */

/* An address in the scratch area. */
struct address {
	const u8 *bytes;
	u32 len; /* in bytes; 0: no address */
};

/* Reads an address of `len` bytes, which starts with its family; cuts it to the longest possible one. */
static __always_inline struct address address__read(const struct auxmap *auxmap, const void *pointer, u32 len,
						    enum sc_memory memory)
{
	u8 *to = auxmap->data + SC_ADDRESS;
	struct address address = { .bytes = to };
	u64 size = SC_BOUND(len < SC_MAX_SOCKADDR ? len : SC_MAX_SOCKADDR, SC_ADDRESS_SIZE);
	long failed;

	if (!pointer || size < sizeof(u16))
		return address;
	failed = memory == SC_USER ? bpf_probe_read_user(to, size, pointer) : bpf_probe_read_kernel(to, size, pointer);
	if (failed)
		return address;
	to[size] = 0; /* a path may lack its NUL */
	address.len = size;
	return address;
}

/* Returns whether it is an address of this family with at least `size` bytes. */
static __always_inline bool address__is(struct address address, u16 family, u32 size)
{
	return address.len >= size && *(const u16 *)address.bytes == family;
}

/*
 * Writes the path of a unix address at `to`. Returns its length with the NUL. `size` is the address's without its
 * family. An abstract name ends with the address, a path at its first NUL, which address__read appends if missing. Not
 * inlined, to save the programs' registers.
 */
static __noinline u32 unix__write_path(const char *path, u64 size, u8 *to)
{
	u32 before = 0;
	long n;

	if (!*path) {
		size = SC_BOUND(size < SC_MAX_SUN_PATH ? size : SC_MAX_SUN_PATH, SC_MAX_SOCKADDR);
		bpf_probe_read_kernel(to, size, path);
		to[0] = '@';
		to[size] = 0;
		return size + 1;
	}
	if (*path == '@') {
		to[0] = '.';
		to[1] = '/';
		before = 2;
	}
	n = bpf_probe_read_kernel_str(to + before, SC_MAX_SUN_PATH + 1, path);
	return n > 0 ? n + before : 0;
}

/* The same for a whole address; an unnamed one gets an empty path. */
static __always_inline u16 address__write_path(struct address address, u8 *to)
{
	if (address.len <= sizeof(u16)) {
		*to = 0;
		return 1;
	}
	return unix__write_path(((const struct sc_sockaddr_un *)address.bytes)->path, address.len - sizeof(u16), to);
}

/* Writes a sockaddr at `to`. Returns its length, 0 for a family that the format does not encode. */
static __always_inline u16 address__write(struct address address, u8 *to)
{
	if (address__is(address, SC_AF_INET, sizeof(struct sc_sockaddr_in))) {
		const struct sc_sockaddr_in *in = (const struct sc_sockaddr_in *)address.bytes;

		to[0] = PPM_socket_families__AF_INET;
		*(u32 *)(to + 1) = in->addr;
		*(u16 *)(to + 5) = port__to_host(in->port);
		return SC_INET_LEN;
	}
	if (address__is(address, SC_AF_INET6, sizeof(struct sc_sockaddr_in6))) {
		const struct sc_sockaddr_in6 *in6 = (const struct sc_sockaddr_in6 *)address.bytes;

		to[0] = PPM_socket_families__AF_INET6;
		__builtin_memcpy(to + 1, in6->addr, 16);
		*(u16 *)(to + 17) = port__to_host(in6->port);
		return SC_INET6_LEN;
	}
	if (address__is(address, SC_AF_UNIX, sizeof(u16))) {
		to[0] = PPM_socket_families__AF_UNIX;
		return 1 + address__write_path(address, to + 1);
	}
	return 0;
}

/* ----------------------------------------------------------------- sockets */

/* Returns the struct sock of a file; NULL if it is not a socket. */
static __always_inline struct sock *extract__sock_of(struct file *file)
{
	const u16 s_ifmt = 0170000, s_ifsock = 0140000;
	struct socket *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & s_ifmt) != s_ifsock)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	/* They differ if O_PATH opened the file system node of a unix socket. */
	if (!socket || BPF_CORE_READ(socket, file) != file)
		return NULL;
	return BPF_CORE_READ(socket, sk);
}

/* Returns the struct sock of a descriptor of the current task; NULL if it is not a socket. */
static __always_inline struct sock *extract__sock(s64 fd)
{
	return extract__sock_of(extract__file(fd));
}

/*
 * Writes a tuple at `to`. Returns its length. The kernel's addresses take precedence; the call's own, `given`, is for
 * unconnected sockets.
 */
static __always_inline u16 tuple__write_inet(struct sock *sk, struct address given, enum sc_direction direction, u8 *to)
{
	struct inet_sock *inet = (struct inet_sock *)sk;
	u8 *local = to + (direction == SC_OUTBOUND ? 1 : 7);
	u8 *remote = to + (direction == SC_OUTBOUND ? 7 : 1);
	u32 addr = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	u16 port = BPF_CORE_READ(sk, __sk_common.skc_dport);

	if (!port && address__is(given, SC_AF_INET, sizeof(struct sc_sockaddr_in))) {
		const struct sc_sockaddr_in *in = (const struct sc_sockaddr_in *)given.bytes;

		addr = in->addr;
		port = in->port;
	}
	to[0] = PPM_socket_families__AF_INET;
	*(u32 *)local = BPF_CORE_READ(inet, inet_saddr);
	*(u16 *)(local + 4) = port__to_host(BPF_CORE_READ(inet, inet_sport));
	*(u32 *)remote = addr;
	*(u16 *)(remote + 4) = port__to_host(port);
	return SC_INET_TUPLE_LEN;
}

static __always_inline u16 tuple__write_inet6(struct sock *sk, struct address given, enum sc_direction direction,
					      u8 *to)
{
	struct inet_sock *inet = (struct inet_sock *)sk;
	u8 *local = to + (direction == SC_OUTBOUND ? 1 : 19);
	u8 *remote = to + (direction == SC_OUTBOUND ? 19 : 1);
	u16 port = BPF_CORE_READ(sk, __sk_common.skc_dport);

	if (!bpf_core_field_exists(sk->__sk_common.skc_v6_daddr))
		return 0;
	to[0] = PPM_socket_families__AF_INET6;
	bpf_core_read(local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	*(u16 *)(local + 16) = port__to_host(BPF_CORE_READ(inet, inet_sport));
	if (!port && address__is(given, SC_AF_INET6, sizeof(struct sc_sockaddr_in6))) {
		const struct sc_sockaddr_in6 *in6 = (const struct sc_sockaddr_in6 *)given.bytes;

		__builtin_memcpy(remote, in6->addr, 16);
		port = in6->port;
	} else {
		bpf_core_read(remote, 16, &sk->__sk_common.skc_v6_daddr);
	}
	*(u16 *)(remote + 16) = port__to_host(port);
	return SC_INET6_TUPLE_LEN;
}

static __always_inline u16 tuple__write_unix(struct auxmap *auxmap, struct sock *sk, struct address given,
					     enum sc_direction direction, u8 *to)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
	struct sock *receiver = direction == SC_OUTBOUND ? peer : sk;
	struct address path = given;

	if (direction == SC_INBOUND || peer) {
		struct unix_address *name = BPF_CORE_READ((struct unix_sock *)receiver, addr);

		path = address__read(auxmap, name ? &name->name : NULL, name ? BPF_CORE_READ(name, len) : 0, SC_KERNEL);
	} else if (!address__is(given, SC_AF_UNIX, sizeof(u16))) {
		path.len = 0;
	}
	to[0] = PPM_socket_families__AF_UNIX;
	*(u64 *)(to + 1) = (u64)receiver;
	*(u64 *)(to + 9) = (u64)(direction == SC_OUTBOUND ? sk : peer);
	return SC_UNIX_TUPLE_LEN + address__write_path(path, to + SC_UNIX_TUPLE_LEN);
}

/* Writes the tuple of a socket at the tail. Returns its length, 0 if it is NULL or of another family. */
static __always_inline u16 tuple__write_of(struct auxmap *auxmap, struct sock *sk, enum sc_direction direction,
					   const void *pointer, u32 len)
{
	u8 *to = auxmap__tail(auxmap);
	struct address given;

	if (!sk)
		return 0;
	given = address__read(auxmap, pointer, len, SC_USER);
	switch (BPF_CORE_READ(sk, __sk_common.skc_family)) {
	case SC_AF_INET:
		return tuple__write_inet(sk, given, direction, to);
	case SC_AF_INET6:
		return tuple__write_inet6(sk, given, direction, to);
	case SC_AF_UNIX:
		return tuple__write_unix(auxmap, sk, given, direction, to);
	default:
		return 0;
	}
}

/* Writes the tuple of a descriptor at the tail. Returns its length, 0 if it is no socket or of another family. */
static __always_inline u16 tuple__write(struct auxmap *auxmap, s64 fd, enum sc_direction direction, const void *pointer,
					u32 len)
{
	return tuple__write_of(auxmap, extract__sock(fd), direction, pointer, len);
}

/* ---------------------------------------------------------------- storing */

/* Stores an address from user memory. */
#define auxmap__store_sockaddr(auxmap, program, param, pointer, len)                                                \
	do {                                                                                                        \
		SC_REQUIRE(SC_HAS_TYPE(program, param, SOCKADDR), "not a socket address in its row of events.def"); \
		auxmap__push(auxmap, SC_INDEX(program, param),                                                      \
			     address__write(address__read(auxmap, (const void *)(pointer), len, SC_USER),           \
					    auxmap__tail(auxmap)));                                                 \
	} while (0)

/* Stores a socket's two ends; `pointer` and `len` are the call's address argument in user memory, or NULL and 0. */
#define auxmap__store_socktuple(auxmap, program, param, fd, direction, pointer, len)                               \
	do {                                                                                                       \
		SC_REQUIRE(SC_HAS_TYPE(program, param, SOCKTUPLE), "not a socket tuple in its row of events.def"); \
		auxmap__push(auxmap, SC_INDEX(program, param),                                                     \
			     tuple__write(auxmap, fd, direction, (const void *)(pointer), len));                   \
	} while (0)

/* Stores the first argument, a descriptor, in an event of fixed size. */
#define socket__store_fd(call, ringbuf, program) \
	/* Parameter 1: fd (type: PT_FD) */      \
	ringbuf__store(ringbuf, program, fd, socket__int_argument(call, 0))

/* ------------------------------------------------------------------- flags */

/* The flags of accept4. */
static __always_inline u32 socket_flags_to_scap(u32 flags)
{
	const u32 sock_nonblock = 04000, sock_cloexec = 02000000;

	return SC_FLAG(flags, sock_nonblock, file_flags, O_NONBLOCK) |
	       SC_FLAG(flags, sock_cloexec, file_flags, O_CLOEXEC);
}

static __always_inline u8 shutdown_how_to_scap(u32 how)
{
	return how <= PPM_shutdown_how__SHUT_RDWR ? how : (u8)PPM_shutdown_how__SHUT_UNKNOWN;
}
