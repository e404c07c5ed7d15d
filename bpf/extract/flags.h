/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The kernel's flags in the .scap format's encoding (flags.def). */
#pragma once

#include "events_dimensions.h"

/* Translates one flag: the format's bit if the kernel's is set. */
#define SC_FLAG(flags, kernel, table, name) (((flags) & (kernel)) ? PPM_##table##__##name : 0)

/* Translates one value of several: the format's value if the kernel's matches. */
#define SC_VALUE(value, kernel, table, name) ((value) == (kernel) ? PPM_##table##__##name : 0)

static __always_inline u32 access_flags_to_scap(u32 mode)
{
	return mode & (PPM_access_flags__R_OK | PPM_access_flags__W_OK | PPM_access_flags__X_OK);
}

static __always_inline u32 clone_flags_to_scap(u64 flags)
{
	return SC_FLAG(flags, 0x100, clone_flags, CLONE_VM) | SC_FLAG(flags, 0x200, clone_flags, CLONE_FS) |
	       SC_FLAG(flags, 0x400, clone_flags, CLONE_FILES) | SC_FLAG(flags, 0x800, clone_flags, CLONE_SIGHAND) |
	       SC_FLAG(flags, 0x2000, clone_flags, CLONE_PTRACE) | SC_FLAG(flags, 0x4000, clone_flags, CLONE_VFORK) |
	       SC_FLAG(flags, 0x8000, clone_flags, CLONE_PARENT) | SC_FLAG(flags, 0x10000, clone_flags, CLONE_THREAD) |
	       SC_FLAG(flags, 0x20000, clone_flags, CLONE_NEWNS) | SC_FLAG(flags, 0x40000, clone_flags, CLONE_SYSVSEM) |
	       SC_FLAG(flags, 0x80000, clone_flags, CLONE_SETTLS) |
	       SC_FLAG(flags, 0x100000, clone_flags, CLONE_PARENT_SETTID) |
	       SC_FLAG(flags, 0x200000, clone_flags, CLONE_CHILD_CLEARTID) |
	       SC_FLAG(flags, 0x800000, clone_flags, CLONE_UNTRACED) |
	       SC_FLAG(flags, 0x1000000, clone_flags, CLONE_CHILD_SETTID) |
	       SC_FLAG(flags, 0x2000000, clone_flags, CLONE_NEWCGROUP) |
	       SC_FLAG(flags, 0x4000000, clone_flags, CLONE_NEWUTS) |
	       SC_FLAG(flags, 0x8000000, clone_flags, CLONE_NEWIPC) |
	       SC_FLAG(flags, 0x10000000, clone_flags, CLONE_NEWUSER) |
	       SC_FLAG(flags, 0x20000000, clone_flags, CLONE_NEWPID) |
	       SC_FLAG(flags, 0x40000000, clone_flags, CLONE_NEWNET) |
	       SC_FLAG(flags, 0x80000000, clone_flags, CLONE_IO);
}

static __always_inline u32 execveat_flags_to_scap(u32 flags)
{
	return SC_FLAG(flags, 0x100, execveat_flags, AT_SYMLINK_NOFOLLOW) |
	       SC_FLAG(flags, 0x1000, execveat_flags, AT_EMPTY_PATH);
}

/* Translates the page-fault error code of x86. */
static __always_inline u32 pf_flags_to_scap(u64 error)
{
	return (error & 0x1 ? PPM_pf_flags__PROTECTION_VIOLATION : PPM_pf_flags__PAGE_NOT_PRESENT) |
	       (error & 0x2 ? PPM_pf_flags__WRITE_ACCESS : PPM_pf_flags__READ_ACCESS) |
	       (error & 0x4 ? PPM_pf_flags__USER_FAULT : PPM_pf_flags__SUPERVISOR_FAULT) |
	       SC_FLAG(error, 0x8, pf_flags, RESERVED_PAGE) | SC_FLAG(error, 0x10, pf_flags, INSTRUCTION_FETCH);
}

/* The kernel's numbers are the format's; bits that the format does not name are dropped. */
static __always_inline u32 mlock2_flags_to_scap(u32 flags)
{
	return flags & PPM_mlock2_flags__MLOCK_ONFAULT;
}

static __always_inline u32 mlockall_flags_to_scap(u32 flags)
{
	return flags &
	       (PPM_mlockall_flags__MCL_CURRENT | PPM_mlockall_flags__MCL_FUTURE | PPM_mlockall_flags__MCL_ONFAULT);
}

static __always_inline u32 prot_flags_to_scap(u32 prot)
{
	return SC_FLAG(prot, 0x1, prot_flags, PROT_READ) | SC_FLAG(prot, 0x2, prot_flags, PROT_WRITE) |
	       SC_FLAG(prot, 0x4, prot_flags, PROT_EXEC) | SC_FLAG(prot, 0x8, prot_flags, PROT_SEM) |
	       SC_FLAG(prot, 0x1000000, prot_flags, PROT_GROWSDOWN) |
	       SC_FLAG(prot, 0x2000000, prot_flags, PROT_GROWSUP);
}

static __always_inline u32 mmap_flags_to_scap(u32 flags)
{
	u32 scap = SC_FLAG(flags, 0x1, mmap_flags, MAP_SHARED) | SC_FLAG(flags, 0x2, mmap_flags, MAP_PRIVATE) |
		   SC_FLAG(flags, 0x10, mmap_flags, MAP_FIXED) | SC_FLAG(flags, 0x20, mmap_flags, MAP_ANONYMOUS) |
		   SC_FLAG(flags, 0x100, mmap_flags, MAP_GROWSDOWN) | SC_FLAG(flags, 0x800, mmap_flags, MAP_DENYWRITE) |
		   SC_FLAG(flags, 0x1000, mmap_flags, MAP_EXECUTABLE) | SC_FLAG(flags, 0x2000, mmap_flags, MAP_LOCKED) |
		   SC_FLAG(flags, 0x4000, mmap_flags, MAP_NORESERVE) |
		   SC_FLAG(flags, 0x8000, mmap_flags, MAP_POPULATE) | SC_FLAG(flags, 0x10000, mmap_flags, MAP_NONBLOCK);

#if defined(__TARGET_ARCH_x86)
	scap |= SC_FLAG(flags, 0x40, mmap_flags, MAP_32BIT);
#endif
	return scap;
}
