#!/bin/bash
# A workload of test-strace.sh: makes system calls for strace and scapd to compare.
#
#   strace-workload.sh LOGS WORKLOAD
#
# Runs in the current directory, as root of namespaces of its own (broad-namespace.sh). Each part has a time limit and may
# fail: only its calls count.

set -euo pipefail
logs=$1

# part COMMAND [ARG...]: runs the command, and adds its exit status to LOGS/parts.txt.
part() {
	local status=0

	timeout --kill-after=5 "${limit:-60}" "$@" >>"$logs/parts.log" 2>&1 || status=$?
	echo "$status	$*" >>"$logs/parts.txt"
}

ip link set lo up || true

# A compiler run: a small program, and what it does.
compiler() {
	cat >threads.c <<-'END'
		#include <pthread.h>
		#include <stdio.h>
		#include <sys/wait.h>
		#include <unistd.h>

		static void *sleeper(void *unused)
		{
			pause();
			return unused;
		}

		/* A thread that is not the first of its process executes a program: the kernel ends the others. */
		static void *executer(void *unused)
		{
			execl("/bin/true", "true", NULL);
			return unused;
		}

		int main(void)
		{
			pthread_t threads[3];
			int i;

			if (fork() == 0) {
				pthread_create(&threads[0], NULL, sleeper, NULL);
				pthread_create(&threads[1], NULL, executer, NULL);
				pause();
			}
			wait(NULL);
			for (i = 0; i < 3; i++)
				pthread_create(&threads[i], NULL, sleeper, NULL);
			puts("done");
			return 0;
		}
	END
	part gcc -O2 -Wall -o threads threads.c -pthread
	part ./threads
}

# The programs that strace's own tests trace: most calls, with arguments of all kinds, also such that no program would use.
# Those left out wait for something that strace's tests do to them, make thousands of calls, or make the same few calls again
# for messages of netlink, for ioctl, and for what strace's options choose.
tests() {
	local program

	cd /usr/src/strace/tests
	for program in *; do
		case $program in
		*[.-]* | nlattr_* | nfnetlink_* | netlink_* | ioctl_* | umovestr* | [A-Z]*) ;;
		chdir | msg_control | times | answer | attach* | clone_parent | count | delay | kill_child | tracer_* | looping_threads | set_ptracer_any | run_expect_termsig | sleep | signal_receive) ;;
		list_sigaction_signum | nsyscalls | ksysent | check_sig* | set_sig* | print_* | trie_test | unblock_reset_raise) ;;
		*) [ ! -x "$program" ] || [ -d "$program" ] || (cd /mnt/home && limit=10 part "/usr/src/strace/tests/$program") ;;
		esac
	done
}

# Python's tests of the modules os and socket.
python() {
	limit=100 part python3 -m test -u none -i '*stress*' test_os
	limit=100 part python3 -m test -u none -i '*stress*' -i '*Timeout*' test_socket
}

# stress-ng: one worker for each stressor, with few rounds.
stress() {
	local stressor

	for stressor in access=1 affinity=3 alarm=2 cap=5 chdir=1 chmod=1 clone=2 close=2 dir=5 dup=2 epoll=2 eventfd=5 \
		exec=2 fallocate=2 fault=3 fcntl=3 fifo=5 fork=3 fstat=1 futex=5 getdent=2 getrandom=2 handle=2 inotify=1 io=2 \
		itimer=1 kcmp=2 key=1 kill=5 landlock=1 lockf=5 membarrier=1 memfd=1 mincore=2 mknod=1 mlock=1 mq=5 msg=5 \
		msync=1 nanosleep=2 open=5 personality=2 pidfd=2 pipe=5 poll=2 prctl=1 pthread=1 rename=5 rlimit=2 \
		schedpolicy=3 seek=5 sem-sysv=5 sendfile=2 session=1 shm-sysv=1 sigfd=5 sigpending=3 sigq=5 sigrt=5 sigsuspend=3 \
		sock=1 sockpair=2 splice=2 sysinfo=1 tee=2 timer=2 timerfd=2 utime=2 vfork=2 vm-splice=2 wait=2 \
		yield=5 zombie=2; do
		limit=5 part stress-ng --quiet --temp-path "$PWD" --timeout 1 "--${stressor%=*}" 1 "--${stressor%=*}-ops" "${stressor#*=}"
	done
}

"$2"
