//! Threads and processes: clones, execs, ends, and what calls change of them.

use std::sync::Arc;

use super::Apply;
use crate::{
    events::Effect,
    format::state::{Group, User},
    model::{
        describe::take_over,
        flags::{
            CLONE_PARENT, CLONE_THREAD, EXE_FROM_MEMFD, EXE_LOWER_LAYER, EXE_UPPER_LAYER, EXE_WRITABLE,
            RLIMIT_NOFILE,
        },
        info::{CpuTime, Memory, ProcessInfo, ThreadInfo, shared},
        machine::Ended,
        paths,
        schedule::Switch,
        tasks::{Child, More, Told},
    },
};

/// An id that a call does not change.
const UNCHANGED: u32 = u32::MAX;

impl<'a> Apply<'a> {
    pub(super) fn directory_changed(&mut self, path: Option<Arc<[u8]>>) {
        if let Some(path) = path {
            *self.machine.tasks.cwd_mut(self.tid) = path;
        }
    }

    pub(super) fn root_changed(&mut self) {
        let Some(path) = self.args.text("path") else { return };
        let inside = match path.starts_with(b"/") {
            // The path counts from the present root.
            true => match self.machine.root(self.tid) {
                Some(root) => Some(paths::join(root, path.get(1..).unwrap_or_default())),
                None => Some(paths::join(b"/", path)),
            },
            false => self.absolute(path),
        };
        if let Some(root) = inside {
            *self.machine.tasks.root_mut(self.tid) = root.into();
        }
    }

    /// Handles either return of a clone: the parent's names the child, the child's comes from the child itself.
    pub(super) fn cloned(&mut self) {
        self.machine.tasks.end_clone(self.tid);
        let flags = self.args.flags("flags").unwrap_or_default();
        let child = match self.args.int("res") {
            Some(0) => self.child_of_itself(flags),
            Some(res) if res > 0 => {
                let own = (self.args.int("vtid"), self.args.int("vpid"));
                self.machine.tasks.learn_ids(self.tid, own);
                match self.child_of_parent(res, flags) {
                    Some(child) => child,
                    None => return self.machine.tasks.announce(self.tid, res as u64),
                }
            }
            _ => return,
        };
        self.machine.tasks.fork(&child);
        if self.machine.tasks.is_gone(child.tid) {
            self.machine.ended = Some(Ended::Thread { tid: child.tid, reaper: None });
        }
    }

    fn child_of_itself(&self, flags: u32) -> Child<'a> {
        let (args, tid) = (&self.args, self.tid);
        let id = |name| args.int(name).and_then(|id| u64::try_from(id).ok());
        let pid = id("pid").unwrap_or(tid);
        // With these flags, the new task's parent is the parent of the one that cloned it.
        let parent = match flags {
            flags if flags & CLONE_THREAD != 0 => pid,
            flags if flags & CLONE_PARENT != 0 => 0,
            _ => id("ptid").unwrap_or_default(),
        };
        let nested = args
            .int("vtid")
            .filter(|vtid| *vtid > 0)
            .map(|vtid| (vtid, args.uint("pidns_init_start_ts").unwrap_or_default()));
        let ptid = id("ptid").filter(|ptid| *ptid > 0 && flags & CLONE_THREAD == 0);
        let (comm, more) = (args.comm(), self.more());
        Child { tid, pid, parent, ptid, told: Told::Child, comm, flags, nested, more }
    }

    /// Returns the child with the number `res` in the caller's pid namespace; `None` if it is not known yet.
    fn child_of_parent(&self, res: i64, flags: u32) -> Option<Child<'a>> {
        let (args, tid) = (&self.args, self.tid);
        // In a nested pid namespace, the result differs from the child's tid in events.
        let is_nested = args.int("vtid").is_some_and(|vtid| vtid as u64 != tid);
        let child = match is_nested {
            true => self.machine.tasks.resolve_nested(tid, res as u64)?,
            false => res as u64,
        };
        let pid = if flags & CLONE_THREAD != 0 { self.machine.pid(tid) } else { child };
        let (comm, more) = (args.comm(), self.more());
        let (told, ptid, nested) = (Told::Parent, None, None);
        Some(Child { tid: child, pid, parent: tid, ptid, told, comm, flags, nested, more })
    }

    /// Returns what a clone or an exec says besides names; nothing if only names are kept.
    fn more(&self) -> More<'a> {
        if !self.machine.tasks.whole {
            return More::default();
        }
        let args = &self.args;
        More {
            ts: args.event.ts(),
            exe: args.text("exe"),
            args: args.bytes("args"),
            cgroups: args.bytes("cgroups"),
            fdlimit: args.uint("fdlimit"),
            uid: args.id("uid"),
            gid: args.id("gid"),
            memory: self.memory(),
            vpid: args.int("vpid"),
        }
    }

    fn memory(&self) -> Option<Memory> {
        let kib = |name| self.args.uint(name).and_then(|kib| u32::try_from(kib).ok());
        let known = self.machine.tasks.info(self.tid).map(|(own, _)| own.memory).unwrap_or_default();
        Some(Memory {
            vmsize_kb: kib("vm_size")?,
            vmrss_kb: kib("vm_rss")?,
            vmswap_kb: kib("vm_swap")?,
            pfmajor: self.args.uint("pgft_maj").unwrap_or(known.pfmajor),
            pfminor: self.args.uint("pgft_min").unwrap_or(known.pfminor),
        })
    }

    pub(super) fn memory_told(&mut self) {
        if self.machine.tasks.whole
            && let Some(memory) = self.memory()
        {
            self.machine.tasks.set_memory(self.tid, memory);
        }
    }

    /// Handles a switch from the event's thread to another one.
    pub(super) fn switched(&mut self) {
        self.memory_told();
        let (Some(cpu), Some(next)) = (self.cpu, self.args.int("next")) else { return };
        let switch = Switch { ts: self.args.event.ts(), next: next as u64 };
        self.machine.ran = self.machine.schedule.switch(cpu, self.tid, switch);
        if let Some(ran) = self.machine.ran {
            self.machine.tasks.change(self.tid, |info| info.ran = info.ran.saturating_add(ran));
        }
    }

    /// Handles a procinfo event. A thread's first one has nothing to be compared with.
    pub(super) fn cpu_time_told(&mut self) {
        let (Some(user), Some(system)) = (self.args.uint("cpu_usr"), self.args.uint("cpu_sys")) else {
            return;
        };
        let (machine, now) = (&mut *self.machine, CpuTime { user, system });
        machine.tasks.change(self.tid, |info| {
            machine.used = info.cpu.replace(now).map(|before| now.since(before));
        });
    }

    pub(super) fn executed(&mut self) {
        let pid = self.args.int("pid").map_or(self.tid, |pid| pid as u64);
        self.machine.tasks.exec(self.tid, pid, self.args.comm());
        let cwd = self.args.text("cwd").filter(|cwd| cwd.starts_with(b"/"));
        self.directory_changed(cwd.map(Into::into));
        if self.machine.tasks.whole {
            self.exec_described(pid);
        }
    }

    fn exec_described(&mut self, pid: u64) {
        let (more, args) = (self.more(), &self.args);
        let tasks = &mut self.machine.tasks;
        let id = |name| args.int(name).and_then(|id| u64::try_from(id).ok());
        if let Some(parent) = id("ptid") {
            tasks.set_parent(pid, tasks.pid(parent));
        }
        tasks.change_process(pid, |process| {
            take_over(process, &more);
            process.executed = more.ts;
            process.exepath = args.text("trusted_exepath").unwrap_or_default().into();
            // A program may have no arguments.
            let of_argv = args.texts("argv").map(behind_the_first);
            let program_args = of_argv.or_else(|| args.bytes("args")).unwrap_or_default();
            let env = args.texts("envp").or_else(|| args.bytes("env")).unwrap_or_default();
            process.args = shared(Some(&process.args), program_args);
            process.env = shared(Some(&process.env), env);
            process.vpgid = id("vpgid").unwrap_or(process.vpgid);
            process.pgid = args.int("pgid").unwrap_or(process.pgid);
            process.tty = args.id("tty").unwrap_or(process.tty);
            process.loginuid = args.id("loginuid").unwrap_or(process.loginuid);
            let has = |flag| args.has_flag("flags", flag);
            (process.exe_writable, process.exe_from_memfd) = (has(EXE_WRITABLE), has(EXE_FROM_MEMFD));
            (process.exe_upper_layer, process.exe_lower_layer) = (has(EXE_UPPER_LAYER), has(EXE_LOWER_LAYER));
            let number = |name| args.uint(name).unwrap_or_default();
            (process.exe_ino, process.exe_ino_ctime) = (number("exe_ino"), number("exe_ino_ctime"));
            process.exe_ino_mtime = number("exe_ino_mtime");
            process.is_complete |= args.uint("cap_effective").is_some();
        });
        tasks.change(self.tid, |own| {
            own.uid = more.uid.unwrap_or(own.uid);
            own.gid = more.gid.unwrap_or(own.gid);
            own.memory = more.memory.unwrap_or(own.memory);
            set_capabilities(own, |name| args.uint(name));
        });
    }

    pub(super) fn exited(&mut self) {
        self.machine.pairing.take(self.tid);
        let reaper =
            self.args.int("reaper_tid").and_then(|tid| u64::try_from(tid).ok()).filter(|tid| *tid > 0);
        self.machine.ended = Some(Ended::Thread { tid: self.tid, reaper });
    }

    pub(super) fn user_changed(&mut self) {
        let args = &self.args;
        // Of setuid, setreuid, setresuid.
        let Some(uid) = args.id("uid").or(args.id("euid")).filter(|uid| *uid != UNCHANGED) else { return };
        let is_set = |name| args.id(name).is_some_and(|uid| uid != UNCHANGED);
        let all = args.id("uid").is_some() || is_set("ruid") && (is_set("suid") || args.id("suid").is_none());
        self.machine.tasks.change(self.tid, |own| own.set_uid(uid, all));
    }

    pub(super) fn group_changed(&mut self) {
        let args = &self.args;
        if let Some(gid) = args.id("gid").or(args.id("egid")).filter(|gid| *gid != UNCHANGED) {
            self.machine.tasks.change(self.tid, |own| own.gid = gid);
        }
    }

    pub(super) fn capabilities_changed(&mut self) {
        let args = &self.args;
        self.machine.tasks.change(self.tid, |own| set_capabilities(own, |name| args.uint(name)));
    }

    pub(super) fn session_begun(&mut self) {
        let pid = self.machine.pid(self.tid);
        self.machine.tasks.change_process(self.tid, |process| {
            (process.sid, process.pgid, process.tty) = (pid, pid as i64, 0);
            process.vpgid = u64::try_from(process.vpid).unwrap_or(pid);
        });
    }

    /// Handles `setpgid`. Its ids are those of the caller's pid namespace; 0 stands for the caller, or for the process.
    pub(super) fn process_group_changed(&mut self) {
        let ids = (self.args.int("pid"), self.args.int("pgid"));
        let (Some(Ok(id)), Some(Ok(group))) = (ids.0.map(u64::try_from), ids.1.map(u64::try_from)) else {
            return;
        };
        let tasks = &mut self.machine.tasks;
        let target = if id == 0 { Some(tasks.pid(self.tid)) } else { tasks.resolve(self.tid, id) };
        let Some(target) = target else { return };
        let resolved = if group == 0 { Some(target) } else { tasks.resolve(self.tid, group) };
        tasks.change_process(target, |process| {
            let own = u64::try_from(process.vpid).unwrap_or(target);
            process.vpgid = if group == 0 { own } else { group };
            process.pgid = resolved.map_or(-1, |group| group as i64);
        });
    }

    pub(super) fn limit_changed(&mut self) {
        let args = &self.args;
        // A negative limit of prlimit was not given; that of open files cannot be infinite.
        let new = match (args.int("newcur"), args.int("newmax"), args.int("oldcur")) {
            // A prlimit that only reads the limit has zeros as the new one.
            (Some(0), Some(0), Some(old)) if old > 0 => Some(old),
            (new, ..) => new,
        };
        let limit = new.or(args.int("cur")).and_then(|limit| u64::try_from(limit).ok());
        let (Some(RLIMIT_NOFILE), Some(limit)) = (args.flags("resource"), limit) else { return };
        let tasks = &mut self.machine.tasks;
        let target = match args.int("pid").and_then(|pid| u64::try_from(pid).ok()) {
            None | Some(0) => Some(self.tid),
            Some(id) => tasks.resolve(self.tid, id),
        };
        if let Some(target) = target {
            tasks.change_process(target, |process: &mut ProcessInfo| process.fdlimit = limit);
        }
    }

    pub(super) fn accounts_changed(&mut self, effect: Effect) {
        let args = &self.args;
        // Users of containers are not the machine's.
        if args.text("container_id").is_some_and(|container| !container.is_empty()) {
            return;
        }
        let text = |name| args.text(name).unwrap_or_default().to_vec();
        let (uid, gid) = (args.id("uid").unwrap_or_default(), args.id("gid").unwrap_or_default());
        let accounts = &mut self.machine.accounts;
        match effect {
            Effect::UserAdded => {
                let (name, home, shell) = (text("name"), text("home"), text("shell"));
                accounts.add_user(User { uid, gid, name, home, shell });
            }
            Effect::UserDeleted => accounts.delete_user(uid),
            Effect::GroupAdded => accounts.add_group(Group { gid, name: text("name") }),
            _ => accounts.delete_group(gid),
        }
    }
}

fn set_capabilities(own: &mut ThreadInfo, get: impl Fn(&str) -> Option<u64>) {
    own.cap_inheritable = get("cap_inheritable").unwrap_or(own.cap_inheritable);
    own.cap_permitted = get("cap_permitted").unwrap_or(own.cap_permitted);
    own.cap_effective = get("cap_effective").unwrap_or(own.cap_effective);
}

/// Returns what follows the first of some texts, each ended by a NUL.
fn behind_the_first(texts: &[u8]) -> &[u8] {
    let first = texts.iter().position(|byte| *byte == 0);
    first.and_then(|end| texts.get(end + 1..)).unwrap_or_default()
}
