#!/bin/bash
# The workload of test-broad.sh: makes most system calls.  broad-workload.sh LOGS
# Runs as root of namespaces of its own, without rights over the machine. It writes only to the current directory, which
# test-broad.sh made for it. Each part has a time limit and may fail: only its calls count.

set -euo pipefail
logs=$1

# part COMMAND [ARG...]: runs the command, and adds its exit status to LOGS/parts.txt.
part() {
	local status=0

	timeout --kill-after=5 "${limit:-30}" "$@" >>"$logs/parts.log" 2>&1 || status=$?
	echo "$status	$*" >>"$logs/parts.txt"
}

ip link set lo up


# stress-ng: one worker for each stressor, and its number of rounds, which is low where a round is long. The list omits
# stressors of processors and caches, and those that make the same call a million times in a round.
stressors=(
	access=3 affinity=3 aio=3 alarm=3 bad-altstack=3 bad-ioctl=1 bind-mount=2 brk=20 cap=20 chattr=2 chdir=1 chmod=3
	chown=3 chroot=5 clone=5 close=50 context=5 copy-file=2 daemon=3 dentry=20 dev-shm=1 dir=20 dirdeep=2 dnotify=3
	dup=5 enosys=1 env=1 epoll=20 eventfd=20 exec=3 exit-group=3 fallocate=2 fanotify=3 fault=20 fcntl=20 fiemap=2
	fifo=20 file-ioctl=3 filename=5 flock=20 fork=5 fpunch=1 fsize=2 fstat=3 full=3 futex=50 get=2 getdent=3 getrandom=5
	handle=5 hrtimers=20 inotify=2 io=3 io-uring=3 ioprio=3 itimer=1 kcmp=10 key=1 kill=20 klog=3 landlock=2 lease=10
	link=1 lockf=20 lockofd=20 membarrier=3 memfd=1 mincore=5 mknod=3 mlock=3 mmap=1 mmapaddr=5 mprotect=10 mq=20
	mremap=2 msg=20 msync=3 munmap=1 mutex=10 nanosleep=5 netdev=5 netlink-proc=3 netlink-task=5 null=20 open=20
	personality=5 pidfd=10 ping-sock=5 pipe=20 pkey=5 poll=10 prctl=3 pthread=3 ptrace=5 pty=1 quota=3 readahead=3
	rename=20 revio=3 rlimit=5 rseq=5 rtc=3 schedpolicy=10 seal=5 seccomp=5 secretmem=1 seek=20 sem=20 sem-sysv=20
	sendfile=5 session=3 set=5 shm=1 shm-sysv=1 sigabrt=3 sigchld=5 sigfd=20 sigio=5 signal=20 signest=3 sigpending=10
	sigpipe=5 sigq=20 sigrt=20 sigsegv=5 sigsuspend=10 sigtrap=5 sleep=5 sock=5 sockabuse=3 sockfd=10 sockmany=2
	sockpair=20 spawn=3 splice=20 symlink=1 sysbadaddr=20 syscall=2 sysinfo=3 tee=5 timer=20 timerfd=5 tmpfs=1 touch=20
	tun=2 udp=20 umount=2 unshare=3 urandom=5 userfaultfd=5 usersyscall=5 utime=5 vdso=5 verity=2 vfork=5 vm-rw=3
	vm-splice=20 wait=5 xattr=1 yield=20 zombie=5
)
for stressor in "${stressors[@]}"; do
	name=${stressor%=*} rounds=${stressor#*=}
	limit=10 part stress-ng --quiet --temp-path "$PWD" --timeout 1 "--$name" 1 "--$name-ops" "$rounds"
done

# A compiler run, for a program with calls that C libraries no longer make.
cat >old-calls.c <<'END'
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	long limit[2], stat[32], time[2] = { 0, 1000 }, mask = 1 << 9, sem;
	unsigned short ops[3] = { 0, 0, 04000 };
	int fds[2];

	syscall(SYS_stat, "old-calls.c", stat);
	syscall(SYS_lstat, "missing", stat);
	syscall(SYS_fstat, 0, stat);
	syscall(SYS_pipe, fds);
	syscall(SYS_select, fds[1] + 1, NULL, NULL, NULL, time);
	syscall(SYS_nanosleep, time, NULL);
	syscall(SYS_mknod, "fifo", 010600, 0);
	syscall(SYS_getrlimit, 7, limit);
	syscall(SYS_setrlimit, 7, limit);
	syscall(SYS_eventfd, 3);
	syscall(SYS_signalfd, -1, &mask, 8);
	sem = syscall(SYS_semget, 0, 1, 01600);
	syscall(SYS_semop, sem, ops, 1);
	syscall(SYS_semctl, sem, 0, 0, 0);
	syscall(SYS_bpf, 0, NULL, 0);
	syscall(SYS_io_uring_register, 0, 0, NULL, 0);
	syscall(SYS_fsconfig, syscall(SYS_fsopen, "tmpfs", 0), 1, "size", "1m", 0);
	syscall(SYS_init_module, stat, 0, "option=1");
	syscall(SYS_finit_module, 0, "", 0);
	syscall(SYS_delete_module, "missing", O_NONBLOCK);
	syscall(SYS_execveat, AT_FDCWD, "missing", NULL, NULL, 0);
	return syscall(SYS_fork) < 0;
}
END
part gcc -O2 -Wall -o old-calls old-calls.c
part ./old-calls

# A 32-bit program without a C library, with calls that 64-bit programs do not have.
cat >compat-calls.c <<'END'
static long call(long number, long a, long b, long c, long d, long e)
{
	long result;

	__asm__ volatile("int $0x80" : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return result;
}

void _start(void)
{
	static long pair[2], where[2], sockets[] = { 1, 1, 0, (long)pair }, args[4];

	call(102, 8, (long)sockets, 0, 0, 0); /* socketcall: socketpair */
	args[0] = pair[0], args[1] = (long)"hello", args[2] = 5;
	call(102, 9, (long)args, 0, 0, 0); /* socketcall: send */
	args[0] = pair[1], args[1] = (long)where;
	call(102, 10, (long)args, 0, 0, 0); /* socketcall: recv */
	call(140, 0, 0, 0, (long)where, 1); /* _llseek */
	call(192, 0, 4096, 3, 0x22, -1); /* mmap2 */
	call(22, (long)"missing", 0, 0, 0, 0); /* umount */
	call(7, -1, 0, 1, 0, 0); /* waitpid */
	call(117, 0, 0, 0, 0, 0); /* ipc */
	call(1, 0, 0, 0, 0, 0); /* exit */
}
END
part gcc -O2 -m32 -ffreestanding -fno-pic -no-pie -nostdlib -static -o compat-calls compat-calls.c
part ./compat-calls

# A server and its client, over IPv4 and IPv6.
for address in 127.0.0.1 '[::1]'; do
	python3 -m http.server --bind "${address//[][]/}" 8080 >>"$logs/parts.log" 2>&1 &
	server=$!
	limit=20 part curl -gs --retry 50 --retry-connrefused --retry-delay 1 "http://$address:8080/old-calls.c" -o copy.c
	part curl -gs "http://$address:8080/missing"
	kill "$server"
	wait "$server" || true
done

# Python's own tests of the modules that wrap system calls.
for module in os posix fcntl mmap signal select epoll poll socket pty tempfile shutil pathlib mailbox eintr fileio; do
	limit=40 part python3 -m test -u none -i '*stress*' -i '*itimer*' "test_$module"
done
