//! Landlock: forbids a thread to write files.

use landlock::{ABI, AccessFs, Ruleset, RulesetAttr, RulesetStatus};

/// Forbids this thread to write, create, rename or remove files. Open files stay usable.
///
/// # Errors
/// The reason if the kernel does not enforce it.
pub(super) fn write_none() -> Result<(), String> {
    let rules = Ruleset::default().handle_access(AccessFs::from_write(ABI::V5));
    let rules = rules.and_then(Ruleset::create).map_err(|e| e.to_string())?;
    let status = rules.restrict_self().map_err(|e| e.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel does not have it, or has it disabled".to_owned()),
        // Older kernels have no rule for truncation, or for ioctl(2) on devices.
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}
