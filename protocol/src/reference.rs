//! docs/errors.md: the tables of error and close codes, written from the tables in the code.

use std::fmt::Write as _;

use crate::{CloseCode, ErrorCode};

/// The page.
#[must_use]
pub fn errors_page() -> String {
    let mut page = String::from(
        "# Error and close codes\n\n\
         <!-- Generated from the tables in `protocol/src`; see CONTRIBUTING.md for how to write it anew. -->\n\n\
         ## Errors\n\n\
         On a socket, an error is a message of type `error` with the `correlation_id` of what it answers; where the\n\
         answer is an HTTP response, the body is its payload alone: `code`, `error` (what was wrong, and where),\n\
         `timestamp`, `recoverable` (the same client can succeed, later or with a corrected request), `help` and\n\
         `retry_after_ms`. Plugins refuse with codes of their own, which are not in this table.\n\n\
         | code | HTTP | recoverable | when | what to do |\n| --- | --- | --- | --- | --- |\n",
    );
    for code in ErrorCode::ALL {
        let (status, recoverable) = (code.http_status(), if code.recoverable() { "yes" } else { "no" });
        let (meaning, help) = (code.meaning(), code.help().replace('|', "\\|"));
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{code}` | {status} | {recoverable} | {meaning} | {help} |");
    }
    page.push_str(
        "\n## Close codes\n\n\
         The range tells what to do: 4000-4099 do not come back, 4100-4199 come back after a delay, 4200-4299 come\n\
         back now. Codes below 4000 are those of RFC 6455, section 7.4.1, and of the IANA registry that it founded.\n\n\
         | code | reason | when |\n| --- | --- | --- |\n",
    );
    for code in CloseCode::ALL {
        let _ = writeln!(page, "| {} | `{}` | {} |", code.code(), code.reason(), code.meaning());
    }
    page
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_of_errors_is_fresh() {
        const UPDATE: &str = "SWITCHBOARD_UPDATE_DOCS";
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        let page = super::errors_page();
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(file, &page).expect("the page is written");
        }
        let found = std::fs::read_to_string(file).unwrap_or_default();
        assert!(found == page, "docs/errors.md is stale: run `{UPDATE}=1 cargo test -p switchboard-protocol`");
    }
}
