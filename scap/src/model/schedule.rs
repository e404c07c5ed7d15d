//! How long threads run on CPUs, which switch events tell.

/// What the last switch event of each CPU says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schedule {
    cpus: Vec<Option<Switch>>,
}

/// A switch: when, and to which thread.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switch {
    pub ts: u64,
    pub next: u64,
}

impl Schedule {
    /// The memory that this takes, in bytes.
    pub fn memory(&self) -> u64 {
        (self.cpus.capacity() * size_of::<Option<Switch>>()) as u64
    }

    /// Forgets all switches.
    pub fn clear(&mut self) {
        self.cpus.clear();
    }

    /// Notes a switch. Returns how long the thread that leaves has run, if the switch before was to it: a capture of some
    /// threads has only their switches.
    pub fn switch(&mut self, cpu: u16, leaves: u64, switch: Switch) -> Option<u64> {
        let cpu = usize::from(cpu);
        if self.cpus.len() <= cpu {
            self.cpus.resize(cpu + 1, None);
        }
        let before = self.cpus.get_mut(cpu)?.replace(switch)?;
        (before.next == leaves).then(|| switch.ts.saturating_sub(before.ts))
    }
}
