//! Collects libbpf's messages during a step, and passes them on to the log.

use std::cell::RefCell;

use libbpf_rs::PrintLevel;

thread_local! {
    // libbpf takes a plain function as its printer, so the text has no other place to go. It belongs to this thread and
    // is empty outside `collect`.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

fn say(level: PrintLevel, text: String) {
    match level {
        // A refused program is not an error yet: the caller decides.
        PrintLevel::Warn | PrintLevel::Info => tracing::debug!(target: "libbpf", "{}", text.trim_end()),
        PrintLevel::Debug => tracing::trace!(target: "libbpf", "{}", text.trim_end()),
    }
    if level != PrintLevel::Debug {
        SAID.with_borrow_mut(|said| said.push_str(&text));
    }
}

/// Runs a step; returns its result and libbpf's messages.
pub(super) fn collect<T>(step: impl FnOnce() -> T) -> (T, String) {
    libbpf_rs::set_print(Some((PrintLevel::Debug, say)));
    SAID.take();
    let result = step();
    (result, SAID.take())
}

/// Returns the program that, by libbpf's messages, the verifier refused or whose tracepoint this kernel lacks. (Missing
/// privileges leave no verifier log.)
pub(super) fn refused_program(said: &str) -> Option<&str> {
    let verified = said.contains("PROG LOAD LOG");
    let line = said.lines().find(|line| {
        line.contains("failed to find kernel BTF type ID of")
            || verified && (line.contains("BPF program load failed") || line.contains("failed to load:"))
    })?;
    line.split('\'').nth(1)
}

/// Returns whether libbpf's messages say that the process ran out of descriptors. (libbpf may return another error than
/// the kernel's.)
pub(super) fn out_of_descriptors(said: &str) -> bool {
    said.contains("EMFILE") || said.contains("Too many open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_refused_program() {
        let said = "libbpf: prog 'access_x': BPF program load failed: -EINVAL\n\
                    libbpf: prog 'access_x': -- BEGIN PROG LOAD LOG --\n";
        assert_eq!(refused_program(said), Some("access_x"));
        let said =
            "libbpf: prog 'page_fault': failed to find kernel BTF type ID of 'page_fault_user': -ESRCH\n";
        assert_eq!(refused_program(said), Some("page_fault"));
        assert_eq!(refused_program("libbpf: failed to find BTF\n"), None);
    }
}
