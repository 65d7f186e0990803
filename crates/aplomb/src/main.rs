//! `aplomb`: the gateway's one binary.

mod admin;
mod alerts;
mod audit;
mod bans;
mod breaker;
mod cache;
mod check;
mod cli;
mod demo;
mod eval;
mod jsonl;
mod keys;
mod limits;
mod load;
mod log;
mod output;
mod panic;
mod privacy;
mod records;
mod serve;
mod targets;
mod validate;

use clap::Parser;
use cli::{Cli, Command};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => check::explain(&args),
        Command::Schema => {
            output::line(&format!("{:#}", aplomb_config::json_schema()));
            Ok(())
        }
        Command::Keys(args) => keys::run(&args),
        Command::Privacy(args) => privacy::run(&args),
        Command::Targets(args) => targets::run(&args),
        Command::Logs(args) => records::logs(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Sql(args) => records::sql(&args),
        Command::Limits(args) => limits::run(&args),
        Command::Cache(args) => cache::run(&args),
        Command::Bans(args) => bans::run(&args),
        Command::Breaker(args) => breaker::run(&args),
        Command::Panic(args) => panic::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Users(args) => records::users(&args),
        Command::Export(args) => records::export(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::error_line(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}
