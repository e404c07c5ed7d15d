//! What makes containers.

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal;)*) => {
        /// What made a container.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind {
            $($(#[$doc])* $kind = $number,)*
        }

        impl Kind {
            /// Returns the kind that has this number in container events.
            pub const fn from_number(number: u64) -> Option<Kind> {
                match number {
                    $($number => Some(Kind::$kind),)*
                    _ => None,
                }
            }

            /// Returns its name, as the field `container.type` has it.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }
        }
    };
}
kinds! {
    /// Docker.
    Docker = 0, "docker";
    /// LXC.
    Lxc = 1, "lxc";
    /// LXC by libvirt.
    LibvirtLxc = 2, "libvirt-lxc";
    /// Mesos.
    Mesos = 3, "mesos";
    /// rkt.
    Rkt = 4, "rkt";
    /// Made known by the user of the recorder.
    Custom = 5, "custom";
    /// A runtime of Kubernetes that did not say which one it is.
    Cri = 6, "cri";
    /// containerd.
    Containerd = 7, "containerd";
    /// CRI-O.
    CriO = 8, "cri-o";
    /// BOSH Process Manager.
    Bpm = 9, "bpm";
    /// The one that the recorder was told it runs beside.
    Static = 10, "static";
    /// Podman.
    Podman = 11, "podman";
}

impl Kind {
    /// Returns whether its runtimes say if a container is privileged.
    pub const fn tells_privileges(self) -> bool {
        matches!(self, Kind::Docker | Kind::Cri | Kind::Containerd | Kind::CriO | Kind::Podman)
    }
}
