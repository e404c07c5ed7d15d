//! The options of `scapd ship`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Command, FromArgMatches};
use url::Url;

use super::{choice::choice, read::usage};
use crate::{
    daemon::config::{Keys, Section, ServiceSettings},
    output::Pattern,
    ship::{self, Confirm, Form},
    units::parse_duration,
};

/// How often --watch looks for closed captures by default.
const EVERY: Duration = Duration::from_secs(10);
/// How long requests are repeated by default.
const RETRY: Duration = Duration::from_secs(180);
/// And at most: a request is signed once, and stores take it for 15 minutes.
const LONGEST_RETRY: Duration = Duration::from_secs(600);

/// `scapd ship`.
#[derive(Debug, Args)]
#[command(
    override_usage = "scapd ship [OPTIONS] --to <URL> <PATH>...\n       scapd ship [OPTIONS] --config <FILE> [PATH]...",
    after_help = "Exit codes: 0 everything is shipped; 1 something is not; 2 the command line or the configuration is wrong."
)]
pub struct ShipArgs {
    /// Captures to ship, and folders of captures; those that are still written are left out [default: the folder of the
    /// configuration's files]
    #[arg(value_name = "PATH", required_unless_present = "config")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    keys: ShipKeys,
    /// Take what is not given from the section [ship] of this configuration, and of those in config.d next to it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on: ship each capture once it is closed
    #[arg(long)]
    watch: bool,
    /// Print a JSON object at the end
    #[arg(long, conflicts_with = "watch")]
    json: bool,
}

/// The options that are also keys of the configuration.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub(super) struct ShipKeys {
    /// Ship to this store, below this prefix: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX, file:///FOLDER.
    /// Credentials are in the environment
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    to: Option<Url>,
    /// What to ship of a capture [default: scap]
    #[arg(long = "as", value_name = "FORM", value_parser = choice::<Form>(), hide_possible_values = false)]
    form: Option<Form>,
    /// Delete a capture here once the store has confirmed that it has it
    #[arg(long)]
    delete: bool,
    /// When an object counts as arrived [default: auto]
    #[arg(long, value_name = "HOW", value_parser = choice::<Confirm>(), hide_possible_values = false)]
    confirm: Option<Confirm>,
    /// How long to repeat a request that fails, with pauses that grow to 15s; up to 10m [default: 3m]
    #[arg(long, value_name = "TIME", value_parser = parse_retry)]
    retry: Option<Duration>,
    /// How often --watch looks for closed captures [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    every: Option<Duration>,
}

impl ShipArgs {
    /// Returns what to ship; `keys` are those of a configuration. The inner error is one of it.
    ///
    /// # Errors
    /// If neither the command line nor the configuration names a store.
    pub fn resolve(self, keys: &Keys) -> Result<anyhow::Result<ship::ShipArgs>, clap::Error> {
        let (mut paths, mut wanted) = (self.paths, self.keys);
        if let Some(file) = &self.config {
            let settings = match ServiceSettings::load(keys, file, true) {
                Ok(settings) => settings,
                Err(mistakes) => return Ok(Err(mistakes.into())),
            };
            wanted = wanted.or(ShipKeys::parse(settings.flags(keys, Section::Ship))?);
            if paths.is_empty() {
                let written = settings.wanted(keys).map(|wanted| wanted.recording.write);
                let pattern = match written {
                    Ok(path) => Pattern::parse(&path.unwrap_or_default()),
                    Err(mistakes) => return Ok(Err(mistakes.into())),
                };
                match pattern {
                    Ok(pattern) => paths.push(pattern.dir().to_owned()),
                    Err(error) => return Ok(Err(error.into())),
                }
            }
        }
        let nowhere = || usage("ship", "where to is missing: give --to URL, or `to` in [ship]".to_owned());
        Ok(Ok(ship::ShipArgs {
            paths,
            to: wanted.to.ok_or_else(nowhere)?,
            form: wanted.form.unwrap_or_default(),
            delete: wanted.delete,
            confirm: wanted.confirm.unwrap_or_default(),
            retry: wanted.retry.unwrap_or(RETRY),
            watch: self.watch.then(|| wanted.every.unwrap_or(EVERY)),
            json: self.json,
            signal: Arc::default(),
        }))
    }
}

impl ShipKeys {
    fn parse(line: Vec<String>) -> Result<ShipKeys, clap::Error> {
        let command = ShipKeys::augment_args(Command::new("ship"));
        let matches = command.try_get_matches_from(std::iter::once("ship".to_owned()).chain(line))?;
        ShipKeys::from_arg_matches(&matches)
    }

    /// Returns these, and those of `other` that are not given.
    fn or(self, other: ShipKeys) -> ShipKeys {
        ShipKeys {
            to: self.to.or(other.to),
            form: self.form.or(other.form),
            delete: self.delete || other.delete,
            confirm: self.confirm.or(other.confirm),
            retry: self.retry.or(other.retry),
            every: self.every.or(other.every),
        }
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{e}; give s3://BUCKET/PREFIX, or file:///FOLDER"))?;
    // It would be in the list of processes, and in messages.
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err("no credentials here: they belong in the environment (AWS_ACCESS_KEY_ID, ...)".to_owned());
    }
    if !["s3", "s3a", "gs", "az", "abfs", "abfss", "file"].contains(&url.scheme()) {
        return Err(format!("{}:// is none of s3://, gs://, az:// and file://", url.scheme()));
    }
    Ok(url)
}

fn parse_retry(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        time if time > LONGEST_RETRY => Err("longer than 10m: --watch tries again after that".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_has_a_known_scheme_and_no_credentials() {
        for right in ["s3://bucket/a/b", "gs://bucket", "az://container/x", "file:///srv/captures"] {
            assert_eq!(parse_url(right).map(String::from).unwrap(), right);
        }
        for wrong in ["bucket", "ftp://host/x", "s3://key:secret@bucket", "az://c/x?sig=abc", "http://h/x"] {
            assert!(parse_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_comes_before_the_configuration() {
        let of =
            |line: &[&str]| ShipKeys::parse(line.iter().map(|word| (*word).to_owned()).collect()).unwrap();
        let both = of(&["--as=both"]).or(of(&["--as=parquet", "--to=file:///b", "--delete", "--retry=5s"]));
        assert_eq!((both.form, both.delete), (Some(Form::Both), true));
        assert_eq!((both.to.unwrap().as_str(), both.retry), ("file:///b", Some(Duration::from_secs(5))));
        assert!(ShipKeys::parse(vec!["--retry=1h".to_owned()]).is_err());
    }
}
