//! The options of `scapd merge`.

use std::path::PathBuf;

use clap::Args;

use crate::{merge, output::Target};

/// `scapd merge`.
#[derive(Debug, Args)]
#[command(
    after_help = "The captures come from one machine since one start of it. Each becomes a section of the result, with the \
    state and the losses that it has.\n\n\
    Captures may overlap in time if they have different processes, as two recordings with -p have. Where both have calls \
    of the same thread, merging them would let each call happen twice, and names would be wrong: scapd refuses that."
)]
pub struct MergeArgs {
    /// Captures to merge, plain or compressed (gzip, xz, zstd, bzip2, lz4), in any order
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Write the result to this capture; - for stdout. An existing file is replaced when the new one is complete
    #[arg(short = 'w', long = "write", value_name = "OUT")]
    pub write: PathBuf,
    /// Compress the result with gzip; also done for a name that ends in .gz
    #[arg(short = 'z', long)]
    pub gzip: bool,
}

impl From<MergeArgs> for merge::MergeArgs {
    fn from(args: MergeArgs) -> merge::MergeArgs {
        merge::MergeArgs {
            compress: args.gzip || args.write.extension().is_some_and(|extension| extension == "gz"),
            target: Target::from_arg(args.write),
            files: args.files,
            signal: None,
        }
    }
}
