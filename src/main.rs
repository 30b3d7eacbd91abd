//! The `greenroom` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    greenroom::system::process::prepare();
    greenroom::cli::run()
}
