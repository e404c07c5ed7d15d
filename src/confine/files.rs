//! Landlock: a thread that writes no files.

use landlock::{ABI, AccessFs, Ruleset, RulesetAttr, RulesetStatus};

/// Has this thread write, make, rename and remove no file from now on; what is open stays so.
///
/// # Errors
/// Why it still can.
pub(super) fn write_none() -> Result<(), String> {
    let rules = Ruleset::default().handle_access(AccessFs::from_write(ABI::V5));
    let rules = rules.and_then(Ruleset::create).map_err(|e| e.to_string())?;
    let status = rules.restrict_self().map_err(|e| e.to_string())?;
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel does not have it, or it is off".to_owned()),
        // An older kernel has no rule for truncating, or for ioctl(2) of devices.
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}
