//! The options that say how events are printed.

use std::io;

use clap::Args;

use super::choice::choice;
use crate::{
    print::{self, LineStyle, TableForm, TimeForm},
    read::Form,
};
use scap::{
    fields::Fields,
    filter::FilterError,
    formatter::{Columns, Formatter},
    text::DataForm,
};

/// The format of lines, as a format: what `-pp` prints.
const LINE: &str = "*%evt.num %evt.outputtime %evt.cpu %proc.name (%thread.tid) %evt.dir %evt.type %evt.info";

/// How events are printed: lines, unless an option says otherwise.
#[derive(Debug, Args)]
#[group(skip)]
pub struct FormArgs {
    /// Print lines in this format: text with %proc.name, %evt.arg[0], %20proc.name (a width), %toupper(proc.name). Events
    /// without a value for a field print no line, unless the format begins with *. -pc prints lines with containers, -pp
    /// the format of the default lines
    #[arg(short = 'p', long = "print", value_name = "FORMAT", value_parser = parse_format)]
    format: Option<LineFormat>,
    /// Print these fields, with tabs between, as tshark -T fields does
    #[arg(short = 'o', long, value_name = "FIELDS", value_parser = parse_columns, conflicts_with = "format")]
    fields: Vec<Columns>,
    /// Print comma-separated values, behind a line with the names of the fields
    #[arg(long, requires = "fields", conflicts_with_all = ["tsv", "json"])]
    csv: bool,
    /// Print tab-separated values, behind a line with the names of the fields
    #[arg(long, requires = "fields", conflicts_with = "json")]
    tsv: bool,
    /// Print one JSON object per line, in the format that docs/JSON.md describes; with -o, only those fields
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Print system calls instead of events, one a line, as strace does (docs/CALLS.md)
    ///
    /// A call is printed when it ends, if its exit event matches. Its time is that of its start, and the last column is how
    /// long it took; without its enter event, the time is that of its end, and the duration is missing. A call that has
    /// not ended when another line comes is printed as <unfinished ...> if its enter event matches, and later as resumed.
    /// So a filter for enter events alone (evt.dir = '>') shows only such calls. Other events than calls, signals, exits
    /// of threads and losses are left out. -n counts lines.
    #[arg(long, conflicts_with_all = ["json", "format", "fields", "time", "print_ascii", "print_hex", "print_hex_ascii", "print_base64"])]
    calls: bool,
    /// How to print times in lines, and %evt.outputtime in formats
    #[arg(short, long = "timetype", value_name = "TIME", value_parser = choice::<TimeForm>())]
    #[arg(hide_possible_values = false, conflicts_with_all = ["json", "fields"])]
    time: Option<TimeForm>,
    #[command(flatten)]
    data: DataArgs,
}

/// How data is printed: what a call reads or writes.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct DataArgs {
    /// Print only the text in data, on lines of its own
    #[arg(short = 'A', long, conflicts_with_all = ["json", "fields"])]
    print_ascii: bool,
    /// Print data as a dump in hexadecimal
    #[arg(short = 'x', long, conflicts_with_all = ["json", "fields"])]
    print_hex: bool,
    /// Print data as a dump in hexadecimal and ASCII
    #[arg(short = 'X', long, conflicts_with_all = ["json", "fields"])]
    print_hex_ascii: bool,
    /// Print data in base64
    #[arg(short = 'b', long, conflicts_with = "json")]
    print_base64: bool,
}

/// The value of `-p`.
#[derive(Debug, Clone)]
enum LineFormat {
    /// The default lines, with containers.
    Containers,
    /// A format.
    Own(Formatter),
    /// The format of the default lines is to be printed, and nothing else.
    Shown,
}

impl FormArgs {
    /// Returns the format of the default lines, if it is asked for instead of events.
    pub(super) fn shown_format(&self) -> Option<&'static str> {
        matches!(self.format, Some(LineFormat::Shown)).then_some(LINE)
    }
}

impl From<FormArgs> for Form {
    fn from(args: FormArgs) -> Form {
        let data = args.data.into();
        if let Some(columns) = Columns::joined(args.fields) {
            let form = match (args.csv, args.tsv, args.json) {
                (true, _, _) => TableForm::Csv,
                (_, true, _) => TableForm::Tsv,
                (_, _, true) => TableForm::Json,
                _ => TableForm::Plain,
            };
            return Form::Table(columns, form, data);
        }
        if args.json {
            return Form::Json;
        }
        if args.calls {
            return Form::Calls { colours: print::has_colours(&io::stdout()) };
        }
        let time = args.time.unwrap_or_default();
        let containers = match args.format {
            Some(LineFormat::Own(format)) => return Form::Format(format, time, data),
            Some(LineFormat::Containers) => true,
            Some(LineFormat::Shown) | None => false,
        };
        Form::Lines(LineStyle { time, data, containers, colours: print::has_colours(&io::stdout()) })
    }
}

impl From<DataArgs> for DataForm {
    fn from(args: DataArgs) -> DataForm {
        match args {
            DataArgs { print_ascii: true, .. } => DataForm::Printable,
            DataArgs { print_hex: true, .. } => DataForm::Hex,
            DataArgs { print_hex_ascii: true, .. } => DataForm::HexAscii,
            DataArgs { print_base64: true, .. } => DataForm::Base64,
            _ => DataForm::Dots,
        }
    }
}

fn parse_format(text: &str) -> Result<LineFormat, String> {
    match text {
        "c" | "container" => Ok(LineFormat::Containers),
        "p" => Ok(LineFormat::Shown),
        "k" | "kubernetes" | "m" | "mesos" => {
            Err("there is no such format: -pc shows containers, -pp the default format".into())
        }
        text => Formatter::parse(text, &Fields).map(LineFormat::Own).map_err(below),
    }
}

fn parse_columns(text: &str) -> Result<Columns, String> {
    Columns::parse(text, &Fields).map_err(below)
}

/// Puts an error below the words with which clap introduces it, so that its place stays underlined.
pub(super) fn below(error: FilterError) -> String {
    format!("\n{error}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parsed(arguments: &[&str]) -> Result<Form, clap::Error> {
        let cli = Cli::try_parse_from(["scapd", "read", "a.scap"].iter().chain(arguments))?;
        match cli.command {
            Command::Read(args) => Ok(args.resolve()?.form),
            other => panic!("{other:?}"),
        }
    }

    fn refused(arguments: &[&str]) -> String {
        parsed(arguments).expect_err(&arguments.join(" ")).to_string()
    }

    #[test]
    fn the_options_choose_the_form() {
        let style = |arguments: &[&str]| match parsed(arguments) {
            Ok(Form::Lines(style)) => LineStyle { colours: false, ..style },
            other => panic!("{other:?}"),
        };
        let default = LineStyle::default();
        assert_eq!(style(&[]), default);
        assert_eq!(style(&["-td"]), LineStyle { time: TimeForm::Latency, ..default });
        assert_eq!(
            style(&["-t", "D", "-A"]),
            LineStyle { time: TimeForm::Delta, data: DataForm::Printable, ..default }
        );
        assert_eq!(
            style(&["-pc", "-X"]),
            LineStyle { containers: true, data: DataForm::HexAscii, ..default }
        );
        assert_eq!(style(&["--print", "container"]), LineStyle { containers: true, ..default });
        let table = |arguments: &[&str]| match parsed(arguments) {
            Ok(Form::Table(columns, form, data)) => (columns.expressions().len(), form, data),
            other => panic!("{other:?}"),
        };
        assert_eq!(table(&["-o", "evt.num,evt.type"]), (2, TableForm::Plain, DataForm::Dots));
        assert_eq!(table(&["--csv", "-o", "evt.num", "-oevt.type"]), (2, TableForm::Csv, DataForm::Dots));
        assert_eq!(table(&["--tsv", "-o", "evt.num", "-b"]), (1, TableForm::Tsv, DataForm::Base64));
        assert_eq!(table(&["--json", "-o", "evt.num"]), (1, TableForm::Json, DataForm::Dots));
        assert!(matches!(parsed(&["--json"]), Ok(Form::Json)));
        assert!(matches!(parsed(&["-p%evt.num", "-x"]), Ok(Form::Format(_, TimeForm::Clock, DataForm::Hex))));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for (arguments, part) in [
            (&["--csv"][..], "--fields <FIELDS>"),
            (&["--tsv"], "--fields <FIELDS>"),
            (&["--csv", "--tsv", "-o", "evt.num"], "cannot be used with"),
            (&["--csv", "--json", "-o", "evt.num"], "cannot be used with"),
            (&["-p", "%evt.num", "-o", "evt.num"], "cannot be used with"),
            (&["-p", "%evt.num", "--json"], "cannot be used with"),
            (&["-A", "-X"], "cannot be used with"),
            (&["-X", "--csv", "-o", "evt.num"], "cannot be used with"),
            (&["-tr", "--json"], "cannot be used with"),
            (&["-t", "x"], "[possible values: h, a, r, d, D]"),
            (&["-pk"], "-pc shows containers"),
        ] {
            let message = refused(arguments);
            assert!(message.contains(part), "{arguments:?}: {message}");
        }
    }

    #[test]
    fn a_mistake_is_underlined() {
        let message = refused(&["-p", "%evt.num %proc.nmae"]);
        let expected = "\n%evt.num %proc.nmae\n          ^^^^^^^^^ no such field; did you mean proc.name?\n";
        assert!(message.contains(expected), "{message}");
        let message = refused(&["-o", "evt.num,evt.tpye"]);
        assert!(
            message.contains("\nevt.num,evt.tpye\n        ^^^^^^^^ no such field; did you mean evt.type?\n"),
            "{message}"
        );
    }

    #[test]
    fn the_default_format_is_printed_without_a_file() {
        let shown = |arguments: &[&str]| {
            let cli = Cli::try_parse_from(["scapd", "read"].iter().chain(arguments)).unwrap();
            match cli.command {
                Command::Read(args) => args.shown_format(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(shown(&["-pp"]), Some(LINE));
        assert!(matches!(parsed(&["-p", LINE]), Ok(Form::Format(..))), "it is a format");
        assert_eq!(shown(&["-p%evt.num", "a.scap"]), None);
        let cli = Cli::try_parse_from(["scapd", "read", "-p%evt.num"]).unwrap();
        let Command::Read(args) = cli.command else { panic!("{:?}", cli.command) };
        assert!(args.resolve().unwrap_err().to_string().contains("<FILE>"), "a file is missing");
    }
}
