//! `aplomb privacy`: what would be found, and where data goes.

mod person;
mod report;
mod scan;

use crate::cli::{ConfigArgs, PrivacyArgs, PrivacyCommand};
use crate::load::Origin;
use crate::output::Failure;
use aplomb_config::Parsed;
use aplomb_core::erase::Subject;

/// `aplomb privacy`.
///
/// # Errors
/// The file is wrong, or what is asked can't be done.
pub fn run(args: &PrivacyArgs) -> Result<(), Failure> {
    match &args.command {
        PrivacyCommand::Scan { file, jsonl, unit } => {
            let parsed = read(&args.config)?;
            scan::run(&parsed, file, *jsonl, *unit)
        }
        PrivacyCommand::Erase { user, tenant } => {
            let subject = subject(user, tenant.as_ref());
            person::erase(&read(&args.config)?.file, &args.config, &subject)
        }
        PrivacyCommand::Export { user, tenant } => {
            let subject = subject(user, tenant.as_ref());
            person::export(&read(&args.config)?.file, &args.config, &subject)
        }
        PrivacyCommand::Verify { file } => {
            person::verify(&read(&args.config)?.file, &args.config, file)
        }
        PrivacyCommand::Report { public } => {
            let parsed = read(&args.config)?;
            if *public {
                report::public(&parsed.file);
            } else {
                report::record(&parsed.file);
            }
            Ok(())
        }
    }
}

fn subject(user: &str, tenant: Option<&String>) -> Subject {
    Subject {
        tenant: tenant.cloned(),
        user: user.to_owned(),
    }
}

fn read(config: &ConfigArgs) -> Result<Parsed, Failure> {
    let (parsed, _) = Origin::of(config).read().map_err(Failure::wrong)?;
    Ok(parsed)
}
