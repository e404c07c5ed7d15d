//! Fields of sysdig and Falco that captures have no values for, and why.

/// Each field with the reason.
pub(super) const UNSUPPORTED: &[(&str, &str)] = &[
    ("evt.around", "compare evt.rawtime with two times instead"),
    ("evt.infra.docker.container.id", NO_DOCKER),
    ("evt.infra.docker.container.image", NO_DOCKER),
    ("evt.infra.docker.container.name", NO_DOCKER),
    ("evt.infra.docker.name", NO_DOCKER),
    ("evt.plugininfo", NO_PLUGINS),
    ("evt.pluginname", NO_PLUGINS),
    ("fd.cip.name", NO_HOSTS),
    ("fd.sip.name", NO_HOSTS),
    ("fd.lip.name", NO_HOSTS),
    ("fd.rip.name", NO_HOSTS),
];

const NO_DOCKER: &str = "no recorder writes events of Docker any more";
const NO_HOSTS: &str =
    "a capture has no names of hosts, and DNS may have others today; use fd.net or the address";
const NO_PLUGINS: &str = "captures of system calls have no plugins";

/// Returns why a field has no values, given its name with or without an argument.
pub(super) fn why_not(name: &str) -> Option<&'static str> {
    let is = |known: &str| {
        let rest = name.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    UNSUPPORTED.iter().find(|(known, _)| is(known)).map(|(_, why)| *why)
}
