//! `aplomb panic`: the switch that stops all but some keys.

use crate::admin;
use crate::cli::{PanicArgs, Turn};
use crate::keys::store;
use crate::load::Origin;
use crate::output::{Failure, error_line, line};
use aplomb_control::store::{Act, ControlStore};
use aplomb_core::clock::{Clock, SystemClock};
use http::Method;
use serde_json::{Value, json};

const PATH: &str = "/admin/v1/panic";

/// `aplomb panic`.
///
/// # Errors
/// The gateway refuses, or none runs and the store can't be used.
pub fn run(args: &PanicArgs) -> Result<(), Failure> {
    let (parsed, _) = Origin::of(&args.config).read().map_err(Failure::wrong)?;
    let turned = args.turn.map(|turn| turn == Turn::On);
    let told = match turned {
        None => admin::try_ask(&parsed.file, &Method::GET, PATH, None)?,
        Some(on) => {
            let body = json!({ "on": on });
            admin::try_ask(&parsed.file, &Method::POST, PATH, Some(&body))?
        }
    };
    let on = match told {
        Some(told) => told.get("on").and_then(Value::as_bool).unwrap_or(false),
        None => {
            error_line("no gateway runs here: working on the store");
            let store = store(&parsed.file.server).map_err(Failure::wrong)?;
            if let Some(on) = turned {
                let act = Act {
                    actor: "cli",
                    at_ms: SystemClock.now_ms(),
                };
                store.set_panic(on, &act).map_err(Failure::wrong)?;
            }
            store.panic().map_err(Failure::wrong)?
        }
    };
    let served = &parsed.file.protect.panic;
    if !on {
        line("panic is off: all keys are served");
    } else if served.keys.is_empty() && served.tenants.is_empty() {
        line("panic is on: nobody is served, since `protect.panic` names no key and no tenant");
    } else {
        line("panic is on: only the keys and tenants of `protect.panic` are served");
    }
    Ok(())
}
