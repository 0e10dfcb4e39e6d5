//! What a change of config takes away from a version that serves.
//!
//! A version has its grants and limits for as long as it lives, so a change of them is another generation of it.
//! Whether that comes to be is up to the guest: its self-test runs again. What gives nothing away can wait
//! for a plugin that is mended; what takes something away cannot be left to the plugin that it is taken from.

use super::{artifact::Compiled, job::Good, loader::missing_grants, status::LoadFailure};
use crate::config::{Grants, PluginConfig, PluginLimits};

/// What a version that was made of this has, and is not to have any more. Each is a few words for people.
pub(crate) fn tightened(served: &Good, wanted: &PluginConfig) -> Vec<String> {
    let before = &served.config;
    let isolation = |config: &PluginConfig| config.isolation.unwrap_or(served.compiled.manifest.isolation);
    let mut taken = grants(&served.compiled, &before.grants, &wanted.grants);
    taken.extend(secrets(before, wanted));
    taken.extend(lowered(&before.limits, &wanted.limits).into_iter().map(|limit| format!("some of `{limit}`")));
    if isolation(wanted) < isolation(before) {
        taken.push(format!("`{}` isolation", isolation(before).as_str()));
    }
    taken
}

/// What an operator is told whose change takes a version out of service.
pub(crate) fn out_of_service(failure: LoadFailure, taken: &[String]) -> LoadFailure {
    let LoadFailure { stage, reason } = failure;
    let taken = taken.join(", ");
    let reason = format!(
        "{reason}; what served is out of service, because the config has taken {taken} from it and it could not be \
         built again without: give that back, or deploy what does without"
    );
    LoadFailure { stage, reason }
}

fn grants(compiled: &Compiled, before: &Grants, wanted: &Grants) -> Vec<String> {
    let mut taken: Vec<String> =
        missing_grants(compiled, wanted).into_iter().map(|name| format!("the interface `{name}`")).collect();
    let lists = [
        ("the tool", &before.tools, &wanted.tools, "*"),
        // Whether one pattern covers another is not looked into: who replaces one takes it away.
        ("the topics", &before.topics, &wanted.topics, "**"),
    ];
    for (what, before, wanted, all) in lists {
        let has = |name: &String| wanted.iter().any(|granted| granted == all || granted == name);
        taken.extend(before.iter().filter(|name| !has(name)).map(|name| format!("{what} `{name}`")));
    }
    let hosts = before.hosts.iter().filter(|host| !wanted.hosts.iter().any(|granted| granted.covers(host)));
    taken.extend(hosts.map(|host| format!("the host `{host}`")));
    let networks =
        before.networks.iter().filter(|network| !wanted.networks.iter().any(|granted| granted.covers(network)));
    taken.extend(networks.map(|network| format!("the network `{network}`")));
    if before.send_to_others && !wanted.send_to_others {
        taken.push("`send_to_others`".to_owned());
    }
    taken
}

/// Credentials that are not sent any more, or not where they were. Another value is a rotation, and takes nothing.
fn secrets(before: &PluginConfig, wanted: &PluginConfig) -> Vec<String> {
    let stays = |name: &String| match (before.secrets.get(name), wanted.secrets.get(name)) {
        (Some(before), Some(wanted)) => before.host == wanted.host && before.header == wanted.header,
        _ => false,
    };
    before.secrets.keys().filter(|name| !stays(name)).map(|name| format!("the secret `{name}`")).collect()
}

/// Names the limits of which there is less.
fn lowered(before: &PluginLimits, wanted: &PluginLimits) -> Vec<&'static str> {
    macro_rules! lowered {
        ($($limit:ident)*) => {{
            // Without a limit that is new, this does not compile.
            let PluginLimits { $($limit: _),* } = before;
            let mut lowered = Vec::new();
            $(if wanted.$limit < before.$limit {
                lowered.push(stringify!($limit));
            })*
            lowered
        }};
    }
    lowered!(
        max_memory_bytes max_table_elements deadline cpu_time max_concurrent_calls max_wait max_emissions
        max_emitted_bytes max_log_lines max_hostcall_bytes max_state_bytes max_call_depth max_outbound_requests
        max_concurrent_outbound_requests max_outbound_request_bytes max_outbound_response_bytes
    )
}

#[cfg(test)]
mod tests;
