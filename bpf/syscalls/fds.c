/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The calls on file descriptors, whatever they stand for. */
#include "template/shapes.h"

SYSCALL_ENTER_FD(close_e)
SYSCALL_EXIT_FD(close_x)
