//! Parses HTTP requests for metrics, and refuses those for other hosts.

use std::net::{IpAddr, Ipv6Addr};

/// The maximum number of headers in a request.
const HEADERS: usize = 64;

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status code and the reason phrase.
    pub status: &'static str,
    /// What the client can do about it.
    pub remedy: &'static str,
}

const BAD: Refusal = Refusal { status: "400 Bad Request", remedy: "" };
const METHOD: Refusal = Refusal { status: "405 Method Not Allowed", remedy: "; only GET is supported" };
const ELSEWHERE: Refusal = Refusal {
    status: "421 Misdirected Request",
    remedy: "; use an IP address, localhost, the machine's name, or a name from metrics-host",
};

/// The host names under which metrics are served. A web page can make a browser on this machine send requests to
/// 127.0.0.1 under a host name of the page's (DNS rebinding) and read the response. Such a name is not in this list.
#[derive(Debug, Clone, Default)]
pub struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// Returns `localhost`, the machine's own name, and `more`.
    pub fn new(more: &[String]) -> Hosts {
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let names = ["localhost".to_owned(), machine].into_iter().chain(more.iter().cloned());
        Hosts { names: names.filter(|name| !name.is_empty()).collect() }
    }

    /// Returns whether a `Host:` header is ours. Any IP address is: DNS rebinding needs a name.
    fn contains(&self, host: &str) -> bool {
        let host = host.trim();
        let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => return address.parse::<Ipv6Addr>().is_ok() && is_port(port),
            None => host.split_at(host.find(':').unwrap_or(host.len())),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_ours = || self.names.iter().any(|ours| ours.eq_ignore_ascii_case(name));
        is_port(port) && (name.parse::<IpAddr>().is_ok() || is_ours())
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

/// Returns the path of a request, or why it is refused; `None` while the request is incomplete.
pub fn parse(bytes: &[u8], ours: &Hosts) -> Option<Result<String, Refusal>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => None,
        Err(_) => Some(Err(BAD)),
        Ok(httparse::Status::Complete(_)) => Some(accept(&request, ours)),
    }
}

fn accept(request: &httparse::Request<'_, '_>, ours: &Hosts) -> Result<String, Refusal> {
    let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        // HTTP/1.0 does not require a host, and no browser uses it.
        (None, _) if request.version == Some(0) => {}
        (Some(host), None) => {
            let host = std::str::from_utf8(host.value).map_err(|_| BAD)?;
            if !ours.contains(host) {
                return Err(ELSEWHERE);
            }
        }
        _ => return Err(BAD),
    }
    if request.method != Some("GET") {
        return Err(METHOD);
    }
    let path = request.path.unwrap_or_default();
    Ok(path.split('?').next().unwrap_or(path).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Hosts {
        Hosts { names: vec!["localhost".into(), "box".into(), "box.example.org".into()] }
    }

    fn get(host: &str) -> Option<Result<String, Refusal>> {
        parse(format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), &ours())
    }

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(parse(b"GET /metrics HTTP/1.1\r\nHost: x\r\n", &ours()), None);
        let query = b"GET /metrics?a=b HTTP/1.1\r\nHost: box\r\n\r\n";
        assert_eq!(parse(query, &ours()), Some(Ok("/metrics".into())));
        assert_eq!(parse(b"POST /metrics HTTP/1.0\r\n\r\n", &ours()), Some(Err(METHOD)));
        assert_eq!(parse(b"\x16\x03\x01", &ours()), Some(Err(BAD)));
    }

    #[test]
    fn only_our_names_are_answered_to() {
        for host in [
            "localhost",
            "LocalHost:9464",
            "127.0.0.1:9464",
            "192.0.2.1",
            "[::1]:9464",
            "[::1]",
            "box:80",
            "box.example.org.",
        ] {
            assert_eq!(get(host), Some(Ok("/metrics".into())), "{host}");
        }
        for host in [
            "rebound.example.com",
            "localhost.example.com",
            "127.0.0.1.example.com",
            "box.example.com:9464",
            "",
            "localhost:x",
            "[localhost]",
            "[::1",
            "[::1].example.com",
            "::1",
        ] {
            assert_eq!(get(host), Some(Err(ELSEWHERE)), "{host}");
        }
    }

    #[test]
    fn a_request_has_one_host() {
        let twice = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\n\r\n";
        assert_eq!(parse(twice, &ours()), Some(Err(BAD)));
        assert_eq!(parse(b"GET /metrics HTTP/1.1\r\n\r\n", &ours()), Some(Err(BAD)));
        assert_eq!(parse(b"GET /metrics HTTP/1.0\r\n\r\n", &ours()), Some(Ok("/metrics".into())));
        let evil = b"GET /metrics HTTP/1.0\r\nHost: evil.example\r\n\r\n";
        assert_eq!(parse(evil, &ours()), Some(Err(ELSEWHERE)));
    }

    #[test]
    fn the_machines_name_and_those_configured_are_ours() {
        let hosts = Hosts::new(&["metrics.example.org".to_owned()]);
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        assert!(hosts.contains("metrics.example.org") && hosts.contains(&machine));
    }

    proptest::proptest! {
        #[test]
        fn no_request_panics(bytes: Vec<u8>) {
            let _ = parse(&bytes, &ours());
        }

        #[test]
        fn no_host_panics(host in ".{0,40}") {
            let _ = ours().contains(&host);
        }
    }
}
