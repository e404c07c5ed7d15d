//! `struct sc_settings` of include/capture.h, in memory that the programs read while the recorder writes it.

use std::{
    ptr::NonNull,
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
};

use scapd_bpf::types;

/// The mapped settings. Every access is atomic and goes through the one pointer from the mutable mapping. No reference
/// to the structure exists while the programs may read it.
#[derive(Debug)]
pub(super) struct ProgramSettings(NonNull<types::bss>);

// SAFETY: the memory belongs to the probe that holds this value and is only accessed through atomics.
unsafe impl Send for ProgramSettings {}
// SAFETY: as above.
unsafe impl Sync for ProgramSettings {}

/// Defines, for each field, a method that returns the field as an atomic.
macro_rules! fields {
    ($($field:ident: $atomic:ident,)*) => {
        $(pub(super) fn $field(&self) -> &$atomic {
            // SAFETY: the pointer is valid as long as `self` (see `new`). The field has the atomic's size and alignment
            // and is only accessed through atomics.
            unsafe { $atomic::from_ptr((&raw mut (*self.0.as_ptr()).sc_settings.$field).cast()) }
        })*
    };
}

/// Defines, for each field that is an array of bytes, a method that returns an element as an atomic.
macro_rules! arrays {
    ($($field:ident[$len:ident],)*) => {
        $(pub(super) fn $field(&self, index: usize) -> &AtomicU8 {
            assert!(index < ProgramSettings::$len, "no such element of the settings");
            // SAFETY: as for `fields`; the assertion keeps the index within the array.
            unsafe { AtomicU8::from_ptr((&raw mut (*self.0.as_ptr()).sc_settings.$field).cast::<u8>().add(index)) }
        }

        pub(super) const $len: usize = {
            // The elements must be bytes.
            assert!(is_bytes(|settings| &settings.$field));
            array_len(|settings: &types::sc_settings| &settings.$field)
        };)*
    };
}

/// Returns whether the elements of an array are as large as a byte.
const fn is_bytes<T, const N: usize>(_: fn(&types::sc_settings) -> &[T; N]) -> bool {
    size_of::<T>() == 1
}

/// Returns the length of an array in a structure of the programs.
pub(super) const fn array_len<S, T, const N: usize>(_: fn(&S) -> &[T; N]) -> usize {
    N
}

impl ProgramSettings {
    /// Takes the mapping of a loaded object. No other reference may exist, so the caller takes it out of the skeleton.
    /// The value must not outlive the object, which unmaps the memory.
    pub(super) fn new(bss: &'static mut types::bss) -> ProgramSettings {
        ProgramSettings(NonNull::from(bss))
    }

    /// Returns the number of events lost on CPUs without counters, the only number here that the programs write.
    pub(super) fn lost_elsewhere(&self) -> &AtomicU64 {
        // SAFETY: as for `fields`.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.0.as_ptr()).sc_elsewhere.lost) }
    }

    /// Writes one of the two sieves: the one that no program reads.
    pub(super) fn store_sieve(&self, index: usize, sieve: &types::sc_sieve) {
        const WORDS: usize = size_of::<types::sc_sieve>() / 8;
        const _: () =
            assert!(size_of::<types::sc_sieve>().is_multiple_of(8) && align_of::<types::sc_sieve>() == 8);
        assert!(index < 2, "no such sieve");
        let source: *const u64 = (&raw const *sieve).cast();
        // SAFETY: as for `fields`; the assertion keeps the index within the array.
        let target: *mut u64 =
            unsafe { (&raw mut (*self.0.as_ptr()).sc_settings.sieves).cast::<types::sc_sieve>().add(index) }
                .cast();
        for word in 0..WORDS {
            // SAFETY: both structures have this many words, aligned as such, and no padding.
            unsafe {
                AtomicU64::from_ptr(target.add(word)).store(source.add(word).read(), Ordering::Relaxed)
            };
        }
    }

    fields! {
        boot_time: AtomicU64,
        active: AtomicU32,
        snaplen: AtomicU32,
        skip_tgid: AtomicU32,
        targets_only: AtomicU32,
        submit_flags: AtomicU32,
        backlog: AtomicU32,
        tracepoints: AtomicU32,
        dynamic_snaplen: AtomicU32,
        full_capture_ports: AtomicU32,
        statsd_port: AtomicU32,
        sample_ratio: AtomicU32,
        extensions: AtomicU32,
        directories_only: AtomicU32,
        sieve: AtomicU32,
    }

    arrays! {
        wanted[SLOTS],
        wanted_number[NUMBERS],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn zeroed() -> &'static mut types::bss {
        // SAFETY: plain numbers, for which 0 is valid.
        Box::leak(Box::new(unsafe { std::mem::zeroed() }))
    }

    #[test]
    fn each_field_is_where_the_structure_has_it() {
        let bss = zeroed();
        let memory: *const types::bss = bss;
        let settings = ProgramSettings::new(bss);
        settings.boot_time().store(1, Relaxed);
        settings.sample_ratio().store(2, Relaxed);
        settings.wanted(ProgramSettings::SLOTS - 1).store(3, Relaxed);
        settings.wanted_number(ProgramSettings::NUMBERS - 1).store(4, Relaxed);
        // SAFETY: the memory is leaked, and nothing writes it from here on.
        let seen = unsafe { &*memory }.sc_settings;
        assert_eq!((seen.boot_time, seen.sample_ratio), (1, 2));
        assert_eq!(seen.wanted.last().map(|wanted| wanted.0), Some(3));
        assert_eq!(seen.wanted_number.last(), Some(&4));
    }

    #[test]
    #[should_panic(expected = "no such element")]
    fn an_index_beyond_an_array_is_refused() {
        ProgramSettings::new(zeroed()).wanted(ProgramSettings::SLOTS);
    }
}
