//! `switchboard plugin check`: would the host take these files?
//!
//! The verdict comes from the host's own way from a file to traffic, without the traffic; this file
//! only asks for it and words it.

use std::{io::Write, path::Path};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::CheckArgs;
use crate::{
    config::{check as config_check, raw::Sources},
    plugin::{CheckFault, CheckedPlugin, LoadFailure, check_file},
};

/// Whether a file would be loaded.
type Outcome = Result<CheckedPlugin, LoadFailure>;

/// One line of `--json`.
#[derive(Serialize)]
struct Verdict<'a> {
    file: &'a Path,
    fits: bool,
    #[serde(flatten)]
    fit: Option<&'a CheckedPlugin>,
    #[serde(flatten)]
    misfit: Option<&'a LoadFailure>,
}

pub(super) fn run(args: CheckArgs) -> anyhow::Result<()> {
    let sources = Sources { file: args.config, ..Sources::from_environment() };
    let config = config_check::load(&sources).context("the configuration is wrong")?.config;
    let runtime = super::super::runtime()?;
    let mut refused = 0_usize;
    for file in &args.files {
        let outcome = match runtime.block_on(check_file(&config, file)) {
            Ok(fit) => Ok(fit),
            Err(CheckFault::Unfit(misfit)) => Err(misfit),
            Err(CheckFault::Setup(fault)) => return Err(fault.into()),
        };
        refused += usize::from(outcome.is_err());
        println(&if args.json { as_json(file, &outcome)? } else { as_text(file, &outcome) })?;
    }
    match refused {
        0 => Ok(()),
        _ => bail!("{refused} of {} would not be loaded", args.files.len()),
    }
}

fn println(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

fn as_json(file: &Path, outcome: &Outcome) -> anyhow::Result<String> {
    let verdict = Verdict { file, fits: outcome.is_ok(), fit: outcome.as_ref().ok(), misfit: outcome.as_ref().err() };
    Ok(serde_json::to_string(&verdict)?)
}

fn as_text(file: &Path, outcome: &Outcome) -> String {
    let file = file.display();
    match outcome {
        Ok(fit) => {
            let list = |names: String| if names.is_empty() { "nothing".to_owned() } else { names };
            format!(
                "{file}: fits\n  {} {}\n  handles {}\n  imports {}",
                fit.name,
                fit.version,
                list(fit.types.join(", ")),
                list(fit.imports.join(", "))
            )
        }
        Err(misfit) => misfit_as_text(&file.to_string(), misfit),
    }
}

/// Why a file is not served, as every command says it.
pub(super) fn misfit_as_text(file: &str, misfit: &LoadFailure) -> String {
    format!("{file}: would not be loaded\n  at {}: {}", misfit.stage.as_str(), misfit.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Stage;

    #[test]
    fn a_misfit_names_the_file_the_stage_and_the_reason() {
        let misfit = LoadFailure::new(Stage::Grants, "it imports `topics`");
        let text = as_text(Path::new("a.wasm"), &Err(misfit));
        assert_eq!(text, "a.wasm: would not be loaded\n  at grants: it imports `topics`");
    }

    #[test]
    fn json_has_the_verdict_on_one_line() {
        let misfit = LoadFailure::new(Stage::Grants, "it imports `topics`");
        let line = as_json(Path::new("a.wasm"), &Err(misfit)).unwrap();
        assert_eq!(line, r#"{"file":"a.wasm","fits":false,"stage":"grants","reason":"it imports `topics`"}"#);
    }
}
