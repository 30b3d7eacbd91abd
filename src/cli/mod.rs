//! The command line: one file per subcommand.

mod capture;
mod check;
mod client;
mod compare;
mod events;
mod models;
mod replay;
mod rollout;
mod serve;
mod simulate;
mod table;
mod wish;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An ONNX inference server that releases new model versions safely.
#[derive(Debug, Parser)]
#[command(name = "greenroom", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Flags,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the models of a folder (also what happens without a command).
    Serve(serve::Flags),
    /// Show the models of a running server and where their versions stand; try one again that is quarantined.
    Models(models::Flags),
    /// Follow the rollouts of a running server, and steer them.
    Rollout(rollout::Flags),
    /// Find out whether models can be served, each in a process of its own.
    Check(check::Flags),
    /// The process of its own.
    #[command(hide = true)]
    CheckInside(check::inside::Flags),
    /// Compare two models on requests from a file, as a rollout would on live ones.
    Compare(compare::Flags),
    /// Run a model's recorded requests on two of its versions, and judge as a rollout would.
    Replay(replay::Flags),
    /// Take recorded requests to other tools.
    Capture(capture::Flags),
    /// Play a model's rollout plan against traffic that you describe, thousands of times.
    Simulate(simulate::Flags),
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Serve(flags)) => serve::run(flags),
        Some(Command::Models(flags)) => models::run(&flags),
        Some(Command::Rollout(flags)) => rollout::run(&flags),
        Some(Command::Check(flags)) => check::run(&flags),
        Some(Command::CheckInside(flags)) => check::inside::run(&flags),
        Some(Command::Compare(flags)) => compare::run(&flags),
        Some(Command::Replay(flags)) => replay::run(&flags),
        Some(Command::Capture(flags)) => capture::run(&flags),
        Some(Command::Simulate(flags)) => simulate::run(&flags),
        None => serve::run(cli.serve),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
