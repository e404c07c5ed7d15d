//! The machine from the state that a section starts with, and the state at an event.

use super::{
    exact::{self, Owners},
    fd_state::ServerPorts,
    fd_table::FdTable,
    fds::OpenFd,
    flags::{CLONE_FILES, CLONE_INVERTED},
    machine::Machine,
    tasks::{Tasks, Told},
    users::Accounts,
};
use crate::format::{
    Keep, MachineState,
    state::{FdKind, FdList, Thread as StateThread},
};

impl Machine {
    /// Creates the machine from the initial state of a section. With [`Keep::All`], everything is kept of it and of the
    /// events; with less, only the names of threads, descriptors, users and groups, which takes less memory:
    /// [`thread`](Machine::thread) returns nothing then.
    pub fn of_state(state: &MachineState, keep: Keep) -> Machine {
        let whole = keep == Keep::All;
        let mut machine = Machine {
            accounts: Accounts::of_state(&state.users, &state.groups),
            tasks: Tasks::of_state(&state.threads, state.machine.boot_time, whole),
            info: state.machine.clone(),
            interfaces: state.interfaces.clone(),
            ..Machine::default()
        };
        exact::restore_tasks(&mut machine.tasks, &state.beyond);
        let listening = ServerPorts::of_state(&state.fds);
        for list in &state.fds {
            let fds = machine.tasks.files_mut(list.pid);
            for fd in &list.fds {
                let (open, close_on_exec) = OpenFd::of_state(fd, &listening, whole);
                fds.insert(fd.fd as i64, open, close_on_exec);
            }
        }
        exact::restore_fds(&mut machine.tasks, &state.beyond);
        machine
    }

    /// Returns the state at this event, as a capture that begins here has it before its first event. Threads,
    /// descriptors, users and groups are in the order of their ids.
    pub fn write_state(&self) -> MachineState {
        self.state_of(|_| true, false)
    }

    /// Returns the state at this event of some processes, as [`write_state`](Machine::write_state) does, so that it can be
    /// united with that of others.
    pub fn write_part(&self, is_wanted: impl Fn(u64) -> bool) -> MachineState {
        self.state_of(is_wanted, true)
    }

    /// Returns the state of some processes. As a part of another state, it says of each connection which side has connected:
    /// the listening sockets of others could tell something else.
    fn state_of(&self, is_wanted: impl Fn(u64) -> bool, is_part: bool) -> MachineState {
        let owners = Owners::of(&self.tasks);
        let is_wanted = |tid: u64| is_wanted(self.pid(tid));
        let tables: Vec<_> = self.tables(&owners).into_iter().filter(|(tid, _)| is_wanted(*tid)).collect();
        let tids = self.tasks.tids().into_iter().filter(|tid| is_wanted(*tid));
        let fds: Vec<FdList> = tables.iter().map(|(tid, table)| list(*tid, table)).collect();
        let listening = ServerPorts::of_state(&fds);
        let in_clone =
            self.pairing.in_clone().into_iter().filter(|(tid, _)| is_wanted(*tid)).collect::<Vec<_>>();
        let mut state = MachineState {
            machine: self.info.clone(),
            interfaces: self.interfaces.clone(),
            users: self.accounts.users(),
            groups: self.accounts.groups(),
            threads: tids.map(|tid| self.state_thread(tid, &owners)).collect(),
            fds,
            beyond: exact::tasks(&self.tasks, &owners, is_wanted),
        };
        state.beyond.extend(in_clone.into_iter().filter_map(|(tid, ts)| exact::born(&self.tasks, tid, ts)));
        for (list, (tid, table)) in state.fds.iter_mut().zip(tables) {
            for fd in &mut list.fds {
                let number = fd.fd as i64;
                let Some((open, close_on_exec)) = table.get_with_exec(number) else { continue };
                open.orient(fd, &listening);
                let is_connected = is_part && matches!(fd.kind, FdKind::Ipv4 { .. } | FdKind::Ipv6 { .. });
                if is_connected || !open.is_told_by(fd, close_on_exec, &listening) {
                    state.beyond.push(exact::fd(tid, number, open, close_on_exec));
                }
            }
        }
        state
    }

    /// Returns the tables of descriptors to write, in order: those of processes, if they are not empty, and those of single
    /// threads.
    fn tables(&self, owners: &Owners) -> Vec<(u64, &FdTable)> {
        let tasks = &self.tasks;
        let of_process = |pid| Some((pid, tasks.files_of_process(pid).filter(|table| !table.is_empty())?));
        let of_thread = |tid| Some((tid, tasks.files(tid).filter(|_| owners.has_own_files(tasks, tid))?));
        let processes = tasks.known_pids().into_iter().filter_map(of_process);
        processes.chain(tasks.tids().into_iter().filter_map(of_thread)).collect()
    }

    fn state_thread(&self, tid: u64, owners: &Owners) -> StateThread {
        let text = |text: Option<&[u8]>| text.unwrap_or_default().to_vec();
        let mut thread = StateThread {
            tid,
            pid: self.pid(tid),
            comm: text(self.comm(tid)),
            cwd: text(self.cwd(tid)),
            root: text(self.root(tid)),
            vtid: -1,
            vpid: -1,
            pgid: -1,
            loginuid: u32::MAX,
            ..StateThread::default()
        };
        if let Some((own, process)) = self.tasks.info(tid) {
            own.write(&mut thread);
            process.write(&mut thread);
        }
        // Other readers go by these: whose descriptors a thread has, and that its parent's return of the clone is to come.
        if owners.has_own_files(&self.tasks, tid) {
            thread.flags &= !CLONE_FILES;
        }
        if self.tasks.told(tid) == Some(Told::Child) {
            thread.flags |= CLONE_INVERTED;
        }
        thread
    }
}

fn list(pid: u64, table: &FdTable) -> FdList {
    let of = |(fd, open, close_on_exec): (i64, &OpenFd, bool)| {
        Some(open.to_state(u64::try_from(fd).ok()?, close_on_exec))
    };
    let mut fds: Vec<_> = table.iter().filter_map(of).collect();
    fds.sort_by_key(|fd| fd.fd);
    FdList { pid, fds }
}
