/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Descriptors that a task received, and what they are (FDENTRIES): entries of an fd list block, version 2.
 *
 *   len u32 (of the whole entry), fd u64, inode u64, type u8, then
 *   file             open_flags u32, path, dev u32
 *   IPv4, IPv6       local address, remote address, local port u16, remote port u16, l4proto u8
 *   listening        address, port u16, l4proto u8
 *   unix socket      socket u64, peer u64, path
 *   all others       name: of an eventfd and its like `anon_inode:[eventfd]`, as /proc shows it; else empty
 *
 * A path or name is its length u16 and as many bytes.
 */
#pragma once

#include "extract/file_flags.h"
#include "extract/paths.h"
#include "extract/sockets.h"

enum {
	SC_MAX_ENTRIES = 32,       /* of one message; the kernel passes on at most 253 descriptors */
	SC_ENTRIES_END = 44 << 10, /* an entry begins below this offset: its path has at most 16 KiB */
	SC_ENTRY_HEAD = 4 + 8 + 8 + 1,
	SC_S_IFMT = 0170000,
	SC_TCP_LISTEN = 10,
	SC_ANON_INODE_FS_MAGIC = 0x09041934,
	SC_PID_FS_MAGIC = 0x50494446,
};

/* The types of entries. */
enum sc_entry {
	SC_ENTRY_DIRECTORY = 2,
	SC_ENTRY_IPV4 = 3,
	SC_ENTRY_IPV6 = 4,
	SC_ENTRY_IPV4_LISTENING = 5,
	SC_ENTRY_IPV6_LISTENING = 6,
	SC_ENTRY_FIFO = 7,
	SC_ENTRY_UNIX = 8,
	SC_ENTRY_OTHER = 10,
	SC_ENTRY_FILE = 16,
};

/* The format's protocols. */
static __always_inline u8 entry__protocol(struct sock *sk)
{
	const u8 unknown = 0, tcp = 2, udp = 3, icmp = 4, raw = 5;
	const u16 ipproto_icmp = 1, ipproto_tcp = 6, ipproto_udp = 17, ipproto_icmpv6 = 58, sock_raw = 3;

	if (BPF_CORE_READ(sk, sk_type) == sock_raw)
		return raw;
	switch (BPF_CORE_READ(sk, sk_protocol)) {
	case ipproto_tcp:
		return tcp;
	case ipproto_udp:
		return udp;
	case ipproto_icmp:
	case ipproto_icmpv6:
		return icmp;
	default:
		return unknown;
	}
}

/* Writes a socket's two ends, or one if it has no peer. Returns the offset after them; `type` is the entry's. */
static __always_inline u32 entry__write_inet(struct auxmap *auxmap, struct sock *sk, u32 at, u8 *type)
{
	u8 *to = auxmap__at(auxmap, at);
	u16 local = port__to_host(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	u16 remote = port__to_host(BPF_CORE_READ(sk, __sk_common.skc_dport));
	u32 is_connected = remote != 0;

	*type = is_connected ? SC_ENTRY_IPV4 : SC_ENTRY_IPV4_LISTENING;
	*(u32 *)to = BPF_CORE_READ((struct inet_sock *)sk, inet_saddr);
	to += sizeof(u32);
	if (is_connected) {
		*(u32 *)to = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		to += sizeof(u32);
	}
	*(u16 *)to = local;
	to += sizeof(u16);
	if (is_connected) {
		*(u16 *)to = remote;
		to += sizeof(u16);
	}
	*to = entry__protocol(sk);
	return at + (is_connected ? 13 : 7);
}

static __always_inline u32 entry__write_inet6(struct auxmap *auxmap, struct sock *sk, u32 at, u8 *type)
{
	const u32 address = 16;
	u8 *to = auxmap__at(auxmap, at);
	u16 local = port__to_host(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	u16 remote = port__to_host(BPF_CORE_READ(sk, __sk_common.skc_dport));
	u32 is_connected = remote != 0;

	*type = is_connected ? SC_ENTRY_IPV6 : SC_ENTRY_IPV6_LISTENING;
	bpf_core_read(to, address, &sk->__sk_common.skc_v6_rcv_saddr);
	to += address;
	if (is_connected) {
		bpf_core_read(to, address, &sk->__sk_common.skc_v6_daddr);
		to += address;
	}
	*(u16 *)to = local;
	to += sizeof(u16);
	if (is_connected) {
		*(u16 *)to = remote;
		to += sizeof(u16);
	}
	*to = entry__protocol(sk);
	return at + (is_connected ? 37 : 19);
}

/* Writes the path of a unix socket, or of its peer if it has none. Returns the offset after it. */
static __always_inline u32 entry__write_unix(struct auxmap *auxmap, struct sock *sk, u32 at, u8 *type)
{
	struct sock *peer = BPF_CORE_READ((struct unix_sock *)sk, peer);
	struct unix_address *name = BPF_CORE_READ((struct unix_sock *)sk, addr);
	u8 *to = auxmap__at(auxmap, at);
	struct address path;
	u16 length;

	if (!name)
		name = BPF_CORE_READ((struct unix_sock *)peer, addr);
	path = address__read(auxmap, name ? &name->name : NULL, name ? BPF_CORE_READ(name, len) : 0, SC_KERNEL);
	*type = SC_ENTRY_UNIX;
	*(u64 *)to = (u64)sk;
	*(u64 *)(to + 8) = (u64)peer;
	length = address__write_path(path, to + 18);
	length -= length > 0; /* the NUL */
	*(u16 *)(to + 16) = length;
	return at + 18 + length;
}

/* Writes the path of a file, or what is known of one that has none. Returns the offset after it. */
static __always_inline u32 entry__write_name(struct auxmap *auxmap, struct file *file, u32 at)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);
	u32 magic = BPF_CORE_READ(file, f_inode, i_sb, s_magic), start = at + sizeof(u16), end = start;
	long n;

	if (path__gather(auxmap, dentry, BPF_CORE_READ(file, f_path.mnt))) {
		end = names__write(auxmap, start) - 1;
	} else {
		if (magic == SC_ANON_INODE_FS_MAGIC) {
			__builtin_memcpy(auxmap__at(auxmap, start), "anon_inode:", 11);
			end += 11;
		} else if (magic == SC_PID_FS_MAGIC) {
			__builtin_memcpy(auxmap__at(auxmap, start), "pidfd:", 6);
			end += 6;
		}
		end = auxmap__forget(auxmap, end);
		n = bpf_probe_read_kernel_str(auxmap__at(auxmap, end), SC_NAME_LEN, BPF_CORE_READ(dentry, d_name.name));
		if (n > 0)
			end = auxmap__forget(auxmap, end + n - 1);
	}
	*(u16 *)auxmap__at(auxmap, at) = end - start;
	return auxmap__forget(auxmap, end);
}

/* Returns the type of an entry that is no socket. */
static __always_inline u8 entry__type(struct file *file)
{
	const u16 s_ififo = 0010000, s_ifdir = 0040000;
	u32 magic = BPF_CORE_READ(file, f_inode, i_sb, s_magic);
	u16 format = BPF_CORE_READ(file, f_inode, i_mode) & SC_S_IFMT;

	if (!format || magic == SC_ANON_INODE_FS_MAGIC || magic == SC_PID_FS_MAGIC)
		return SC_ENTRY_OTHER;
	return format == s_ifdir ? SC_ENTRY_DIRECTORY : format == s_ififo ? SC_ENTRY_FIFO : SC_ENTRY_FILE;
}

/* Writes what a descriptor is, behind the head of its entry. Returns the offset after it. */
static __always_inline u32 entry__write(struct auxmap *auxmap, s64 fd, struct file *file, u32 at, u8 *type)
{
	struct sock *sk = extract__sock(fd);

	if (sk) {
		switch (BPF_CORE_READ(sk, __sk_common.skc_family)) {
		case SC_AF_INET:
			return entry__write_inet(auxmap, sk, at, type);
		case SC_AF_INET6:
			return entry__write_inet6(auxmap, sk, at, type);
		case SC_AF_UNIX:
			return entry__write_unix(auxmap, sk, at, type);
		default:
			*type = SC_ENTRY_OTHER;
			*(u16 *)auxmap__at(auxmap, at) = 0;
			return at + sizeof(u16);
		}
	}
	*type = entry__type(file);
	if (*type != SC_ENTRY_FILE)
		return entry__write_name(auxmap, file, at);
	*(u32 *)auxmap__at(auxmap, at) = open_flags_to_scap(BPF_CORE_READ(file, f_flags));
	at = entry__write_name(auxmap, file, at + sizeof(u32));
	*(u32 *)auxmap__at(auxmap, at) = extract__dev(BPF_CORE_READ(file, f_inode));
	return at + sizeof(u32);
}

/*
 * Writes the entry of a descriptor of the current task at this offset of the area of exit programs. Returns the offset
 * after it. A global function, so that the verifier checks it once.
 */
__noinline u32 entry__add(s64 fd, u32 at)
{
	struct auxmap auxmap = { .way = SC_WAY_EXIT };
	struct file *file = extract__file(fd);
	u8 *head, type = 0;
	u32 end;

	if (!file || at > SC_ENTRIES_END || !auxmap__find(&auxmap, SC_WAY_EXIT))
		return at;
	end = entry__write(&auxmap, fd, file, at + SC_ENTRY_HEAD, &type);
	head = auxmap__at(&auxmap, at);
	*(u32 *)head = end - at;
	*(u64 *)(head + 4) = fd;
	*(u64 *)(head + 12) = BPF_CORE_READ(file, f_inode, i_ino);
	*(head + 20) = type;
	return end;
}

/* Stores the entry of a descriptor. */
#define auxmap__store_entry(auxmap, program, param, fd)                                                        \
	do {                                                                                                   \
		SC_REQUIRE(SC_HAS_TYPE(program, param, FDENTRIES), "not descriptors in its row");              \
		auxmap__push(auxmap, SC_INDEX(program, param), entry__add(fd, (auxmap)->pos) - (auxmap)->pos); \
	} while (0)

/* ------------------------------------------------------- control messages */

enum {
	SC_MAX_CONTROLS = 8, /* control messages of one message to look at */
};

/* Reads the header of a control message. Returns false if it cannot be read. */
static __always_inline bool control__read(u64 pointer, bool compat, struct sc_cmsghdr *header)
{
	struct sc_cmsghdr32 header32;

	if (!compat)
		return !bpf_probe_read_user(header, sizeof(*header), (const void *)pointer);
	if (bpf_probe_read_user(&header32, sizeof(header32), (const void *)pointer))
		return false;
	header->len = header32.len;
	header->level = header32.level;
	header->type = header32.type;
	return true;
}

/* Writes the entries of these descriptors, numbers in user memory, at an offset. Returns the offset after them. */
__noinline u32 entries__add(u64 fds, u32 count, u32 at)
{
	s32 fd = -1;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_MAX_ENTRIES; i++) {
		if (i >= SC_BOUND(count, 2 * SC_MAX_ENTRIES))
			break;
		if (bpf_probe_read_user(&fd, sizeof(fd), (const void *)(fds + i * sizeof(fd))))
			break;
		at = entry__add(fd, at);
	}
	return at;
}

/*
 * Writes the entries of the descriptors that came with a message at an offset: `control` and `length` are its control data.
 * Returns the offset after them.
 */
__noinline u32 entries__received(u64 control, u64 length, u32 compat, u32 at)
{
	const u32 sol_socket = 1, scm_rights = 1, scm_pidfd = 4;
	const u32 word = compat ? sizeof(u32) : sizeof(u64), head = word + 2 * sizeof(u32);
	u64 end = control + length;
	struct sc_cmsghdr header;
	u64 count;

#pragma clang loop unroll(disable)
	for (u32 i = 0; i < SC_MAX_CONTROLS; i++) {
		if (control + head > end || !control__read(control, compat, &header))
			break;
		if (header.len < head || header.len > end - control)
			break;
		if (header.level == sol_socket && (header.type == scm_rights || header.type == scm_pidfd)) {
			count = (header.len - head) / sizeof(s32);
			at = entries__add(control + head, count < SC_MAX_ENTRIES ? count : SC_MAX_ENTRIES, at);
		}
		control += (header.len + word - 1) & ~(u64)(word - 1);
	}
	return at;
}

/* Submits the event of a received message, with an extension if descriptors came with it. */
#define entries__submit_received(call, auxmap, program, message)                                                \
	do {                                                                                                    \
		u32 at_ = (auxmap)->pos + SC_LENGTH_AT(program##__extension__nparams), end_ = at_;              \
                                                                                                                \
		if (sc_settings.extensions && (message).control && (message).controllen)                        \
			end_ = entries__received((message).control, (message).controllen, (call)->compat, at_); \
		if (end_ == at_) {                                                                              \
			auxmap__submit_event(call, auxmap, program);                                            \
			break;                                                                                  \
		}                                                                                               \
		if (!auxmap__extend(call, auxmap, program))                                                     \
			break;                                                                                  \
		/* Parameter 1: received (type: PT_FDENTRIES): already where it belongs */                      \
		auxmap__push(auxmap, SC_INDEX(program##__extension, received), end_ - at_);                     \
		auxmap__submit_extended(call, auxmap, program);                                                 \
	} while (0)
