//! Which requests a client of the control socket may make.

use super::protocol::Request;
use crate::choice::{Choice, choices};

choices! {
    /// A kind of request. Every client may ask for the status.
    pub enum Allowed {
        Rotate = "rotate": "Start a new file; with --keep-files, this deletes the oldest file",
        Dump = "dump": "Write the events that are kept in memory",
        Reload = "reload": "Reload the configuration",
        Set = "set": "Change what is recorded",
        Keep = "keep": "Change how long old files are kept: the keep-... keys of `set`",
        Stop = "stop": "Stop the recording",
        Status = "status": "Nothing but the status",
    }
}

/// Checks that a request is allowed.
///
/// # Errors
/// The first kind of request that is not.
pub fn check(request: &Request, allowed: &[Allowed]) -> Result<(), String> {
    needs(request).into_iter().find(|needed| !allowed.contains(needed)).map_or(Ok(()), |needed| {
        let name = needed.name();
        Err(format!("`{name}` is not allowed; control-allow lists the allowed requests"))
    })
}

fn needs(request: &Request) -> Vec<Allowed> {
    match request {
        Request::Status {} => Vec::new(),
        Request::Rotate {} => vec![Allowed::Rotate],
        Request::Dump { .. } => vec![Allowed::Dump],
        Request::Reload {} => vec![Allowed::Reload],
        Request::Stop {} => vec![Allowed::Stop],
        Request::Set { values } => values
            .keys()
            .map(|key| if key.starts_with("keep-") { Allowed::Keep } else { Allowed::Set })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deletes_can_be_forbidden() {
        let set = |keys: &[&str]| Request::Set {
            values: keys.iter().map(|key| ((*key).to_owned(), "1".to_owned())).collect(),
        };
        assert!(check(&Request::Dump { after: None, reason: String::new() }, &[Allowed::Rotate]).is_err());
        let allowed = [Allowed::Reload, Allowed::Set, Allowed::Stop];
        for request in [Request::Status {}, Request::Reload {}, Request::Stop {}, set(&["snaplen", "sample"])]
        {
            assert_eq!(check(&request, &allowed), Ok(()), "{request:?}");
        }
        for (request, name) in [
            (Request::Rotate {}, "`rotate`"),
            (set(&["keep-files"]), "`keep`"),
            (set(&["snaplen", "keep-age"]), "`keep`"),
        ] {
            let said = check(&request, &allowed).unwrap_err();
            assert!(said.starts_with(name) && said.contains("control-allow"), "{said}");
        }
        assert_eq!(check(&Request::Status {}, &[Allowed::Status]), Ok(()));
        assert!(check(&Request::Stop {}, &[Allowed::Status]).is_err());
    }
}
