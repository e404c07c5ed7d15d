/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The kernel's flag values in the .scap format's own encoding (flags.def). */
#pragma once

#include "events_dimensions.h"

/* One flag: the kernel's bit, if it is set, as that of the format. */
#define SC_FLAG(flags, kernel, table, name) (((flags) & (kernel)) ? PPM_##table##__##name : 0)

static __always_inline u32 access_flags_to_scap(u32 mode)
{
	return mode & (PPM_access_flags__R_OK | PPM_access_flags__W_OK | PPM_access_flags__X_OK);
}
